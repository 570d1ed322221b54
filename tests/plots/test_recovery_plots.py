import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import average_precision_score

from onehotglm import plots
from onehotglm.errors import InvalidInputError
from onehotglm.plots.recovery import precision_recall


def test_scatter_holds_every_coupling(truth, fit):
    ax = plots.plot_coupling_recovery(fit, truth)
    dots = np.concatenate([part.get_offsets() for part in ax.collections])
    assert len(dots) == truth["connectivity"].size
    order = np.argsort(truth["connectivity"].values.ravel())
    np.testing.assert_allclose(
        dots[np.argsort(dots[:, 0])][:, 0], truth["connectivity"].values.ravel()[order]
    )
    correlation = np.corrcoef(
        truth["connectivity"].values.ravel(), fit["connectivity"].values.ravel()
    )[0, 1]
    assert ax.texts[0].get_text() == f"r = {correlation:.3f}"


def test_excluded_couplings_are_left_out(truth, fit):
    fit["connectivity"][:, 0, 0] = np.nan
    ax = plots.plot_coupling_recovery(fit, truth)
    n_dots = sum(len(part.get_offsets()) for part in ax.collections)
    assert n_dots == truth["connectivity"].size - truth.sizes["state"]


def test_confusion_is_in_percent_of_the_true_type(truth, fit):
    np.testing.assert_allclose(
        plots.plot_type_confusion(fit, truth).images[0].get_array(), 100 * np.eye(3)
    )
    fit["connection_type"][:] = 0
    percent = np.asarray(plots.plot_type_confusion(fit, truth).images[0].get_array())
    np.testing.assert_allclose(percent, [[0, 100, 0]] * 3)


def test_a_type_that_never_occurs_is_blank(truth, fit):
    truth["connection_type"] = abs(truth["connection_type"])
    ax = plots.plot_type_confusion(fit, truth)
    assert np.ma.getmaskarray(ax.images[0].get_array())[0].all()
    assert len(ax.texts) == 6


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 10_000))
def test_precision_recall_agrees_with_scikit_learn(n_pairs, seed):
    rng = np.random.default_rng(seed)
    exists = rng.random(n_pairs) < 0.5
    exists[0] = True
    score = rng.integers(0, 5, n_pairs) / 4
    recall, precision, average = precision_recall(exists, score)
    assert average == pytest.approx(average_precision_score(exists, score))
    assert recall[-1] == 1.0
    assert precision[-1] == pytest.approx(exists.mean())


def test_ranking_uses_probabilities_where_there_are_some(truth, fit):
    perfect = plots.plot_precision_recall(fit, truth)
    assert perfect.texts[0].get_text() == "AP = 1.000"
    fit["connection_type_proba"] = fit["connection_type_proba"] * 0 + 1 / 3
    blind = plots.plot_precision_recall(fit, truth)
    share = float((truth["connection_type"] != 0).mean())
    assert blind.texts[0].get_text() == f"AP = {share:.3f}"
    by_size = plots.plot_precision_recall(fit.drop_vars("connection_type_proba"), truth)
    assert by_size.texts[0].get_text() == "AP = 1.000"


def test_no_connection_at_all_is_defined():
    assert np.isnan(precision_recall(np.zeros(3, bool), np.arange(3.0))[2])


def test_three_panels_with_types_two_without(truth, fit):
    assert len(plots.plot_recovery(fit, truth)) == 3
    assert len(plots.plot_recovery(fit.drop_vars("connection_type"), truth)) == 2


def test_a_wiring_without_states_is_the_truth_of_every_state(truth, fit):
    wiring = truth[["connectivity", "connection_type"]].isel(state=0, drop=True)
    one_state = fit.isel(state=[0])
    ax = plots.plot_coupling_recovery(one_state, wiring)
    assert sum(len(part.get_offsets()) for part in ax.collections) == 36


def test_errors_say_what_is_missing_or_differs(truth, fit):
    with pytest.raises(InvalidInputError, match="the truth has no variable 'connectivity'"):
        plots.plot_recovery(fit, truth[["spikes"]])
    with pytest.raises(InvalidInputError, match="connectivity of the fit has sizes"):
        plots.plot_recovery(fit.isel(state=[0, 1]), truth)

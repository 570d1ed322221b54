"""Choosing the number of states: no leakage, the same result however it is run."""

import numpy as np
import pytest
from sklearn.base import clone

from onehotglm import InvalidInputError, OneHotHMMGLM, select_n_states
from onehotglm.evaluation.fold_fits import Plan, run_fits
from onehotglm.evaluation.folds import make_blocks, make_folds
from tests.evaluation.conftest import small_model, two_states

N_STATES = (1, 2)
pytestmark = pytest.mark.filterwarnings("ignore:the largest candidate")


@pytest.fixture(scope="module")
def selection():
    with pytest.warns(UserWarning, match="largest candidate, n_states=2, was chosen"):
        return select_n_states(two_states(), N_STATES, model=small_model(), cv=2)


def test_two_states_are_found(selection) -> None:
    assert selection.choices.to_dict() == {"one-se": 2, "best": 2, "bic": 2, "icl": 2}
    assert selection.best_n_states == 2
    assert selection.model is selection.models[2]
    assert not selection.interrupted
    assert selection.table.index.tolist() == [1, 2]
    assert "choices: one-se: 2" in repr(selection)


def test_table_is_of_the_folds(selection) -> None:
    folds = selection.folds
    assert folds.groupby("n_states")["block"].apply(sorted).tolist() == [[0, 1, 2, 3]] * 2
    assert (folds["fold"] == folds["block"] % 2).all()
    mine = folds[folds["n_states"] == 2]
    expected = mine["bits"].sum() / mine["n_spikes"].sum()
    assert selection.table.loc[2, "bits_per_spike"] == pytest.approx(expected)
    assert mine["n_spikes"].sum() == two_states().sum()


def test_model_is_the_fit_to_all_data(selection) -> None:
    alone = small_model(n_states=2).fit(two_states())
    np.testing.assert_array_equal(selection.model.weights_, alone.weights_)
    assert selection.table.loc[2, "n_parameters"] == alone.n_parameters_


def test_score_is_the_model_s_own(selection) -> None:
    spikes = two_states()
    train, test = spikes.isel(session=[1, 3]), spikes.isel(session=[0, 2])
    model = small_model(n_states=2).fit(train)
    mine = selection.folds.query("n_states == 2 and fold == 0")
    assert mine["bits"].sum() / mine["n_spikes"].sum() == pytest.approx(model.score(test), rel=1e-5)


def fit_of_a_fold(spikes, gap, candidates=(2,), warm_start=False):
    """Outcome of fold 1 of a continuous recording, with the largest number of states."""
    blocks = make_blocks(spikes, 4.0)
    fold = make_folds(spikes, blocks, 3, gap)[1]
    plan = Plan(small_model(), 0, spikes, blocks, [fold], list(candidates), warm_start, {})
    outcomes, _ = run_fits(plan, None, False)
    return next(o for o in outcomes if o.fold == 0 and o.n_states == candidates[-1])


def coefficients(outcome) -> np.ndarray:
    return outcome.params.coefficients


@pytest.mark.parametrize(("candidates", "warm_start"), [((2,), False), ((1, 2), True)])
def test_fits_do_not_depend_on_what_is_held_out(candidates, warm_start) -> None:
    spikes = two_states(n_sessions=1, n_time=400)
    other = spikes.copy()
    fold = make_folds(spikes, make_blocks(spikes, 4.0), 3, 0.0)[1]
    for first, length in zip(*fold.test[1:], strict=True):
        other[0, first : first + length] = 5.0 - np.minimum(other[0, first : first + length], 5)
    one, two = (fit_of_a_fold(counts, 0.5, candidates, warm_start) for counts in (spikes, other))
    # To the last bit, with a gap as long as the history ...
    np.testing.assert_array_equal(coefficients(one), coefficients(two))
    assert (one.scores["bits"] != two.scores["bits"]).all()
    # ... and not with a shorter one.
    one, two = (fit_of_a_fold(counts, 0.2, candidates, warm_start) for counts in (spikes, other))
    assert (coefficients(one) != coefficients(two)).any()


def test_warm_starts_come_from_the_fit_with_fewer_states(monkeypatch) -> None:
    given = {}
    original = OneHotHMMGLM.fit

    def fit(self, X, y=None, *, starts=()):
        given[self.n_states, X.sizes["session"]] = starts
        return original(self, X, starts=starts)

    monkeypatch.setattr(OneHotHMMGLM, "fit", fit)
    options = {"model": small_model(), "cv": [0, 0, 0, 1]}
    warm = select_n_states(two_states(), [1, 2], warm_start=True, **options)
    for n_sessions in (1, 3, 4):  # the folds and all data
        assert given[1, n_sessions] == []
        (start,) = given[2, n_sessions]
        assert start.coefficients.shape == (2, 4, 5)
    one_state = warm.models[1].bias_
    np.testing.assert_allclose(given[2, 4][0].coefficients[..., 0], np.tile(one_state, (2, 1)))
    assert not np.allclose(given[2, 3][0].coefficients[..., 0], one_state)
    select_n_states(two_states(), [1, 2], **options)
    assert given[2, 4] == []


def test_the_default_gap_is_the_history() -> None:
    spikes = two_states(n_sessions=1, n_time=400)
    options = {"model": small_model(), "cv": 2, "block_length": 10.0}
    default, long, none = (
        select_n_states(spikes, [2], gap=gap, **options).folds["bits"] for gap in (None, 0.5, 0.0)
    )
    assert (default == long).all()
    assert (default != none).all()


def test_random_states_other_than_numbers_are_drawn_once() -> None:
    spikes = two_states()
    runs = [
        select_n_states(
            spikes, [2], model=small_model(random_state=np.random.default_rng(seed)), cv=2
        )
        for seed in (3, 3)
    ]
    assert runs[0].folds.equals(runs[1].folds)
    # The generator of the model that was passed is left alone.
    generator = np.random.default_rng(3)
    select_n_states(spikes, [1], model=small_model(random_state=generator), cv=2)
    assert generator.integers(1000) == np.random.default_rng(3).integers(1000)


@pytest.mark.slow
def test_processes_and_threads_change_nothing(selection) -> None:
    from joblib import parallel_config

    by_processes = select_n_states(two_states(), N_STATES, model=small_model(), cv=2, n_jobs=2)
    with parallel_config(backend="threading", n_jobs=2):
        by_threads = select_n_states(two_states(), (2, 1, 2), model=small_model(), cv=2)
    for other in (by_processes, by_threads):
        assert other.folds.equals(selection.folds)
        numbers = ["bits_per_spike", "se", "bic", "icl", "unconverged"]
        assert other.table[numbers].equals(selection.table[numbers])
        np.testing.assert_array_equal(other.model.weights_, selection.model.weights_)


class Stopped(OneHotHMMGLM):
    """Interrupted at the third fit."""

    how = "exception"
    n_fits = 0

    def fit(self, X, y=None, *, starts=()):
        Stopped.n_fits += 1
        super().fit(X, starts=starts)
        if Stopped.n_fits == 3 and self.how == "exception":
            raise KeyboardInterrupt
        if Stopped.n_fits == 3:
            self.stop_reason_ = "interrupted"
        return self


@pytest.mark.parametrize("how", ["exception", "reason"])
def test_an_interrupted_run_keeps_what_it_had(selection, how) -> None:
    Stopped.n_fits, Stopped.how = 0, how
    model = Stopped(**small_model().get_params())
    partial = select_n_states(two_states(), N_STATES, model=model, cv=2)
    assert partial.interrupted
    # Two folds of one state were done.
    assert partial.folds.equals(selection.folds.query("n_states == 1"))
    np.testing.assert_allclose(
        partial.table.loc[1, ["bits_per_spike", "se"]].astype(float),
        selection.table.loc[1, ["bits_per_spike", "se"]].astype(float),
    )
    assert np.isnan(partial.table.loc[2, "bits_per_spike"])
    assert partial.choices.to_dict() == {"one-se": 1, "best": 1}
    assert "(interrupted)" in repr(partial)
    Stopped.n_fits = 2
    nothing = select_n_states(two_states(), N_STATES, model=model, cv=2)
    assert nothing.choices.empty
    with pytest.raises(InvalidInputError, match="interrupted before rule 'one-se'"):
        nothing.best_n_states  # noqa: B018


@pytest.mark.slow
def test_dead_and_duplicate_states_are_warned_about() -> None:
    model = small_model()
    with pytest.warns(UserWarning, match=r"n_states=3 are dead or duplicates .*: duplicate of"):
        select_n_states(two_states(), [3], model=model, cv=2)


def test_parameters_of_the_model_are_used() -> None:
    spikes = two_states()
    plain = select_n_states(spikes, [2], model=small_model(), cv=2)
    tight = select_n_states(spikes, [2], model=clone(small_model(ridge=100.0)), cv=2)
    assert (plain.folds["bits"] != tight.folds["bits"]).all()
    assert tight.table.loc[2, "n_parameters"] < plain.table.loc[2, "n_parameters"]
    assert select_n_states(spikes, [2], model=small_model(), cv=4).folds["fold"].max() == 3
    assert select_n_states(spikes, [1, 2], model=small_model(), cv=2, rule="bic").best_n_states == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_states": []}, "expected positive integers"),
        ({"n_states": [0, 1]}, "expected positive integers"),
        ({"n_states": [1.5]}, "expected positive integers"),
        ({"n_states": [True]}, "expected positive integers"),
        ({"rule": "aic"}, r"rule='aic'.*one-se, best, bic"),
        ({"rule": "elbo"}, "method='em'"),
        ({"cv": 7}, "cv=7 folds of 4 blocks"),
        ({"block_length": -1.0}, "block_length is -1"),
        ({"gap": -1.0}, "gap is -1"),
        ({"n_states": [1, 500]}, "n_states=500, but a fold has 400 time bins"),
        ({"model": small_model(link="cubic")}, "link='cubic'"),
    ],
)
def test_senseless_arguments_are_refused_before_any_fit(arguments, message, monkeypatch) -> None:
    monkeypatch.setattr(OneHotHMMGLM, "_fit", None)
    arguments = {"n_states": [1, 2], "model": small_model(), "cv": 2} | arguments
    with pytest.raises(InvalidInputError, match=message):
        select_n_states(two_states(), **arguments)


@pytest.mark.slow
def test_what_covariates_explain_is_no_state() -> None:
    rng = np.random.default_rng(0)
    bouts = np.repeat(rng.random((4, 10)) < 0.5, 20, axis=1)[..., None].astype(float)
    spikes = rng.poisson(0.2 + bouts * np.array([1.0, 0.0, 0.4, 1.0]))
    model = small_model()
    found = [
        select_n_states(spikes, (1, 2), model=model, cv=2, covariates=given, rule="bic")
        for given in (None, bouts)
    ]
    assert [selection.best_n_states for selection in found] == [2, 1]
    assert found[1].table["bits_per_spike"].loc[1] > found[0].table["bits_per_spike"].loc[1] + 0.02
    assert found[1].model.covariate_weights_.shape == (1, 4, 1)

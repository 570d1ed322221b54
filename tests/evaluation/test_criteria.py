"""Scores with their errors, criteria and the rules that choose."""

import numpy as np
import pandas as pd
import pytest

from onehotglm.evaluation.criteria import choices, cross_validated, information_criteria


def scores_of(bits, n_spikes=None) -> pd.DataFrame:
    """Rows from bits (n_states, fold, block)."""
    bits = np.asarray(bits, float)
    n_spikes = np.full(bits.shape, 10.0) if n_spikes is None else n_spikes
    state, fold, block = np.indices(bits.shape).reshape(3, -1)
    return pd.DataFrame(
        {
            "n_states": state + 1,
            "fold": fold,
            "block": fold * bits.shape[2] + block,
            "bits": bits.ravel(),
            "n_spikes": np.ravel(n_spikes),
        }
    )


def test_scores_are_pooled_over_blocks() -> None:
    bits = np.array([[[1.0, 2.0], [3.0, 5.0]], [[2.0, 2.0], [4.0, 4.0]]])
    n_spikes = np.broadcast_to([[10.0, 40.0], [10.0, 20.0]], bits.shape)
    table = cross_validated(scores_of(bits, n_spikes))
    assert table["bits_per_spike"].tolist() == pytest.approx([11 / 80, 12 / 80])
    assert table["below_best"].tolist() == pytest.approx([1 / 80, 0])
    assert table.loc[2, "se_below_best"] == 0


def test_error_of_a_score_is_its_spread_over_repetitions() -> None:
    rng = np.random.default_rng(0)
    n_folds, n_blocks, n_repetitions = 8, 3, 150
    estimates, errors = [], []
    for _ in range(n_repetitions):
        n_spikes = rng.poisson(30, (n_folds, n_blocks)).astype(float)
        # Blocks of a fold share what their fit is worth.
        worth = 0.3 + 0.1 * rng.normal(size=(n_folds, 1))
        bits = n_spikes * worth + rng.normal(size=n_spikes.shape)
        table = cross_validated(scores_of(bits[None], n_spikes[None]))
        estimates.append(table["bits_per_spike"].item())
        errors.append(table["se"].item() ** 2)
    assert np.sqrt(np.mean(errors)) == pytest.approx(np.std(estimates), rel=0.2)


def test_error_of_a_difference_leaves_out_what_blocks_share() -> None:
    rng = np.random.default_rng(1)
    block = rng.normal(5, 3, size=(6, 1))
    bits = np.stack([block, block + 1 + 0.01 * rng.normal(size=block.shape)])
    table = cross_validated(scores_of(bits))
    assert table.loc[1, "se"] > 0.05
    assert table.loc[1, "below_best"] == pytest.approx(0.1, abs=0.002)
    assert table.loc[1, "se_below_best"] < 0.002


def table_of(**columns) -> pd.DataFrame:
    length = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.RangeIndex(1, length + 1, name="n_states"))


def test_rules() -> None:
    table = table_of(
        bits_per_spike=[0.1, 0.19, 0.2, 0.195],
        below_best=[0.1, 0.01, 0.0, 0.005],
        se_below_best=[0.02, 0.012, 0.0, 0.01],
        bic=[9.0, 7.0, 5.0, 3.0],
        icl=[4.0, 4.5, 5.0, 6.0],
    )
    assert choices(table).to_dict() == {"one-se": 2, "best": 3, "bic": 4, "icl": 1}
    table["elbo"] = [-3.0, -2.0, -1.0, -2.0]
    assert choices(table)["elbo"] == 3


def test_unfinished_numbers_are_not_chosen() -> None:
    table = table_of(
        bits_per_spike=[0.1, np.nan],
        below_best=[0.0, np.nan],
        se_below_best=[0.0, np.nan],
        bic=[np.nan, np.nan],
    )
    assert choices(table).to_dict() == {"one-se": 1, "best": 1}
    assert choices(table_of(bic=[2.0, np.nan])).to_dict() == {"bic": 1}
    assert choices(table_of(seconds=[1.0])).empty


def test_information_criteria(fitted_small, monkeypatch) -> None:
    model, spikes = fitted_small
    found = information_criteria(model, spikes)
    log_likelihood = float(model.log_likelihood(spikes).sum())
    penalty = model.n_parameters_ * np.log(spikes.sizes["session"] * spikes.sizes["time"])
    assert found["log_likelihood"] == log_likelihood
    assert found["bic"] == pytest.approx(-2 * log_likelihood + penalty)
    path = float(model.path_log_proba(spikes).sum())
    assert path < 0
    assert found["icl"] == pytest.approx(found["bic"] - 2 * path)
    assert "elbo" not in found
    monkeypatch.setattr(type(model), "elbo_path_", np.array([-2.0, -1.0]))
    assert information_criteria(model, spikes)["elbo"] == -1.0

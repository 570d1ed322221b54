"""Dead states and duplicates: states that the data do not pay for."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.io.spikes import modelled

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

# A state with less than this part of the bins is dead.
DEAD_SHARE = 1e-3


def describe_states(
    model: "OneHotHMMGLM",
    spikes: xr.DataArray,
    n_time_bins: int | None = None,
    **beside: Any,
) -> pd.DataFrame:
    r"""Say of every state how much it is used and which other one it resembles most.

    If states i and j were merged, predicting the mean m of their rates f, the spikes would be
    less likely by

    .. math:: \Delta_{ij} = \sum_t \gamma_{ti} \mathrm{KL}(f_{ti} | m_t) +
        \gamma_{tj} \mathrm{KL}(f_{tj} | m_t)

    nats, with the posterior :math:`\gamma` and Poisson divergences summed over neurons.  A
    state is a duplicate of the one with the smallest such cost if the cost is less than what
    the BIC charges for a state's parameters: then the data do not tell the two apart.

    Parameters
    ----------
    model : OneHotHMMGLM
    spikes : DataArray, dims (session, time, neuron)
        That it was fitted to, or a part of them.
    n_time_bins : int, optional
        Modelled bins of the whole recording, where `spikes` are a part; costs are extrapolated.
    **beside
        Covariates and transition inputs along these spikes, as in `OneHotHMMGLM.fit`.

    Returns
    -------
    DataFrame, a row per state
        `state`; `share` of the bins; `dwell` (mean seconds of a visit by the transition
        matrix); `nearest` state; `merging_cost` and `price` (nats); `divergence` (cost per bin
        of the two states); `coupling_correlation` with the nearest; `row_similarity` (1 minus
        the total variation distance of where the two go, other than to each other);
        `verdict` ("", "dead", "duplicate of ...").
    """
    proba = model.predict_proba(spikes, **beside)
    gamma = proba.values[np.isfinite(proba.values).all(-1)].astype(float)
    n_states = gamma.shape[1]
    n_time_bins = len(gamma) if n_time_bins is None else n_time_bins
    share = gamma.mean(0)
    leave = np.maximum(1 - np.diagonal(model.transition_matrix_).astype(float), 1e-12)
    rows = pd.DataFrame(
        {"state": range(n_states), "share": share, "dwell": model.bin_size_ / leave}
    )
    n_inputs = 0 if model.transition_weights_ is None else model.transition_weights_.shape[1]
    chain = 2 * n_states - 1 + n_inputs
    in_chain = n_states**2 - 1 + (n_states - 1) * n_inputs
    in_regressions = (model.n_parameters_ - in_chain) / n_states
    rows["price"] = 0.5 * (in_regressions + chain) * np.log(n_time_bins)
    rates = _rates(model, spikes, beside.get("covariates"))
    cost = _merging_costs(rates, gamma) * (n_time_bins / len(gamma))
    cost[:, share < DEAD_SHARE] = np.inf  # merging with a dead state is free and says nothing
    if n_states > 1:
        nearest = cost.argmin(1)
        pair = np.arange(n_states), nearest
        rows["nearest"], rows["merging_cost"] = nearest, cost[pair]
        rows["divergence"] = cost[pair] / (n_time_bins * np.maximum(share + share[nearest], 1e-12))
        rows["coupling_correlation"] = [_correlation(model, *ij) for ij in zip(*pair, strict=True)]
        rows["row_similarity"] = [
            _row_similarity(model.transition_matrix_, *ij) for ij in zip(*pair, strict=True)
        ]
    rows["verdict"] = [_verdict(row) for row in rows.to_dict("records")]
    return rows


def _verdict(row: dict) -> str:
    if row["share"] < DEAD_SHARE:
        return "dead"
    if row.get("merging_cost", np.inf) < row["price"]:
        return f"duplicate of {row['nearest']}"
    return ""


def _rates(model: "OneHotHMMGLM", spikes: xr.DataArray, covariates: Any) -> np.ndarray:
    """Predict counts per bin in each state, shape (state, bin, neuron)."""
    rates = []
    known = modelled(spikes).notnull().values.any(-1)
    for state in range(len(model.bias_)):
        alone = copy.copy(model)
        alone.n_states = 1
        alone.bias_, alone.weights_ = model.bias_[[state]], model.weights_[[state]]
        if model.covariate_weights_ is not None:
            alone.covariate_weights_ = model.covariate_weights_[[state]]
        alone.transition_matrix_, alone.initial_proba_ = np.ones((1, 1)), np.ones(1)
        alone.transition_weights_ = alone.transition_input_names_ = None
        found = alone.predict_rates(spikes, covariates=covariates)
        rates.append(found.values[known] * model.bin_size_)
    return np.stack(rates)


def _merging_costs(rates: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Nats lost by merging each pair of states; infinite on the diagonal."""
    n_states = len(rates)
    cost = np.full((n_states, n_states), np.inf)
    share = gamma.mean(0)
    for i in range(n_states):
        for j in range(i):
            part = share[i] / max(share[i] + share[j], 1e-300)
            merged = part * rates[i] + (1 - part) * rates[j]
            cost[i, j] = cost[j, i] = sum(
                float(gamma[:, k] @ _divergence(rates[k], merged)) for k in (i, j)
            )
    return cost


def _divergence(rate: np.ndarray, other: np.ndarray) -> np.ndarray:
    """KL divergence of Poisson counts, summed over neurons; shape (bin,)."""
    tiny = 1e-12
    return (rate * np.log((rate + tiny) / (other + tiny)) - rate + other).sum(-1)


def _correlation(model: "OneHotHMMGLM", state: int, other: int) -> float:
    one, two = (model.connectivity_[k].ravel() for k in (state, other))
    varies = one.std() > 0 and two.std() > 0
    return float(np.corrcoef(one, two)[0, 1]) if varies else np.nan


def _row_similarity(transition: np.ndarray, state: int, other: int) -> float:
    """1: after leaving the pair both go to the same states; NaN without a third state."""
    rows = np.delete(transition[[state, other]].astype(float), [state, other], axis=1)
    total = rows.sum(1, keepdims=True)
    if rows.shape[1] == 0 or not total.all():
        return np.nan
    rows /= total
    return float(1 - 0.5 * np.abs(rows[0] - rows[1]).sum())

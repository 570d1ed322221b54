"""Recovered states, couplings and types against the truth of a simulation."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.match import confusion, match_couplings, match_paths
from onehotglm.plots.recovery import precision_recall

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

_N_THRESHOLDS = 200
_PARAMETERS = {
    "weights": ("state", "post", "pre", "basis"),
    "bias": ("state", "neuron"),
    "transition_matrix": ("state", "next_state"),
    "initial_proba": ("state",),
    "basis_functions": ("basis", "lag"),
}


def recovery(fit: "OneHotHMMGLM | xr.Dataset", truth: xr.Dataset, states: Any = None) -> pd.Series:
    """Compare a fit with the simulation that its spikes came from.

    States are matched first: by the paths where there are any, else by the couplings.  A true
    state that is left without partner, because the fit has fewer, is compared with the fitted
    state whose couplings are closest.

    Parameters
    ----------
    fit : OneHotHMMGLM or Dataset
        A fitted model or its ``to_dataset()``.
    truth : Dataset
        With ``connectivity``, (state, post, pre), or (post, pre) where nothing switches; and
        what it knows of ``connection_type``, ``shared_type_proba``, ``states``, ``spikes``,
        ``covariates`` and ``transition_inputs``.
    states : array_like of int, shape (session, time), optional
        Decoded states of the bins of ``truth["states"]``.  A fitted model decodes
        ``truth["spikes"]`` itself.

    Returns
    -------
    Series
        NaN where fit or truth lack what it takes.

        ``state_accuracy``: part of the bins whose state is right.

        ``connectivity_mse``, ``connectivity_correlation``: mean squared error and Pearson's r
        of couplings, all pairs of all states, those of a neuron with itself included.

        ``type_accuracy``, ``type_balanced_accuracy``: inhibitory, absent, excitatory; the
        second is the mean over the types that occur, of the part that is found, averaged over
        states.  ``threshold_balanced_accuracy``: the same for types read off the couplings'
        signs beyond one threshold, the best one in hindsight; for fits without types.

        ``sign_accuracy``: of the connections that exist; a coupling of zero has no sign.
        ``average_precision``: of finding them by the magnitude of the coupling;
        ``type_average_precision``: by the probability that the connection is not absent.

        ``shared_type_accuracy``, ``shared_type_balanced_accuracy``: most probable type of each
        pair under the prior that states share.

    Raises
    ------
    InvalidInputError
        If couplings are missing or their neurons are others.

    Examples
    --------
    >>> couplings = xr.DataArray([[[0.0, 1.0], [-0.5, 0.0]]], dims=("state", "post", "pre"))
    >>> truth = couplings.to_dataset(name="connectivity")
    >>> measures = recovery(truth, truth)
    >>> float(measures["connectivity_mse"]), float(measures["sign_accuracy"])
    (0.0, 1.0)
    """
    if not isinstance(fit, xr.Dataset):
        if states is None and "spikes" in truth and "states" in truth:
            given = {
                name: truth.get(name)
                for name in ("covariates", "transition_inputs")
                if getattr(fit, f"{name[:-1]}_names_", None) is not None
            }
            states = fit.predict_states(truth["spikes"], **given)
        fit = fit.to_dataset()
    truth = _with_states(truth, fit)
    true_states = None if states is None else _true_states(truth)
    if true_states is None:
        permutation, accuracy = match_couplings(fit, truth), np.nan
    else:
        sizes = fit.sizes["state"], truth.sizes["state"]
        permutation = match_paths(
            states, true_states, n_states=sizes[0], n_reference_states=sizes[1]
        )
        pairs = confusion(states, true_states, *sizes)
        accuracy = _part_on(pairs, permutation)
    partner = _partners(fit, truth, permutation)
    measures = {"state_accuracy": accuracy} | _couplings(fit, truth, partner)
    return pd.Series(measures | _shared_types(fit, truth), name="recovery")


def true_model(model: "OneHotHMMGLM", truth: xr.Dataset) -> "OneHotHMMGLM":
    """Put the simulation's parameters into a model: what a perfect fit would score.

    Parameters
    ----------
    model : OneHotHMMGLM
        Fitted to spikes of the simulation; it is left as it is.  Scores of the copy are over
        the mean rates that it was trained on, as its own.
    truth : Dataset
        With ``weights``, ``bias``, ``transition_matrix``, ``initial_proba``,
        ``basis_functions`` and the attribute `link`, as `simulate_population` returns; where
        it is not Poisson, the attribute `observation` and ``dispersion``; where inputs drive
        the transitions, ``transition_weights`` and ``transition_input_mean``; with covariates
        ``covariate_weights`` and ``covariate_mean``.

    Returns
    -------
    OneHotHMMGLM
        To score and to decode with; what else there was of the fit stays.

    Raises
    ------
    InvalidInputError
        If the truth lacks a parameter, its data have another distribution than the model, or
        one of them has covariates and the other none.
    """
    missing = [name for name in _PARAMETERS if name not in truth]
    if missing or "link" not in truth.attrs:
        raise InvalidInputError(
            f"the truth lacks {', '.join(missing) or 'the attribute link'}; expected a Dataset "
            "from simulate_population"
        )
    observation = truth.attrs.get("observation", "poisson")
    if observation != model.observation:
        raise InvalidInputError(
            f"the truth has observation={observation!r}, the model {model.observation!r}, so their "
            "scores have no common baseline; expected a model fitted with the truth's"
        )
    true = copy.copy(model)
    for name, dims in _PARAMETERS.items():
        setattr(true, f"{name}_", truth[name].transpose(*dims).values)
    true.dispersion_ = truth["dispersion"].values if "dispersion" in truth else None
    _drive_as(true, truth)
    _set_covariates(true, truth)
    true.n_states, true.link = truth.sizes["state"], truth.attrs["link"]
    true.n_lags = truth.sizes["lag"]
    return true


def _drive_as(true: "OneHotHMMGLM", truth: xr.Dataset) -> None:
    """Let the truth's inputs drive the transitions, or none."""
    if "transition_weights" not in truth:
        true.transition_weights_ = true.transition_input_names_ = None
        return
    weights = truth["transition_weights"].transpose("state", "input")
    mean = truth.get("transition_input_mean", xr.zeros_like(weights["input"], float)).values
    true.transition_weights_ = weights.values
    true.transition_input_names_ = weights["input"].values
    true.transition_input_mean_, true.transition_input_sd_ = mean, np.ones(len(mean))


def _set_covariates(model: "OneHotHMMGLM", truth: xr.Dataset) -> None:
    """Set the true weights of covariates; the model's biases are at the means of its own."""
    known = "covariate_weights" in truth, model.covariate_mean_ is not None
    if known[0] != known[1]:
        raise InvalidInputError(
            f"the {'truth' if known[0] else 'model'} has covariates and the "
            f"{'model' if known[0] else 'truth'} none; expected a model fitted with the truth's"
        )
    if model.covariate_mean_ is not None:
        weights = truth["covariate_weights"].transpose("state", "neuron", "covariate").values
        centre = truth["covariate_mean"].values if "covariate_mean" in truth else 0.0
        model.covariate_weights_ = weights
        model.bias_ = model.bias_ + weights @ (model.covariate_mean_ - centre)


def _with_states(truth: xr.Dataset, fit: xr.Dataset) -> xr.Dataset:
    """Truth in which each state has its couplings, checked against the fit's sizes."""
    for owner, data in (("fit", fit), ("truth", truth)):
        if "connectivity" not in data:
            raise InvalidInputError(
                f"the {owner} has no connectivity to compare; it has "
                f"{', '.join(map(str, data.data_vars)) or 'no variable'}"
            )
    sizes = [{dim: data.sizes[dim] for dim in ("post", "pre")} for data in (fit, truth)]
    if sizes[0] != sizes[1]:
        raise InvalidInputError(
            f"the fit has couplings of the sizes {sizes[0]}, the truth {sizes[1]}; expected the "
            "same neurons in the same order"
        )
    if "state" not in truth["connectivity"].dims:
        names = [name for name in ("connectivity", "connection_type") if name in truth]
        truth = truth.drop_vars("states", errors="ignore").assign(
            {name: truth[name].expand_dims(state=fit.sizes["state"]) for name in names}
        )
    return truth


def _true_states(truth: xr.Dataset) -> xr.DataArray | None:
    if "states" not in truth:
        return None
    return truth["states"].transpose("session", "time")


def _part_on(pairs: np.ndarray, permutation: np.ndarray) -> float:
    """Part of the bins in matched pairs of states."""
    partner = permutation[: len(pairs)]
    matched = np.flatnonzero(partner >= 0)
    return float(pairs[matched, partner[matched]].sum() / pairs.sum()) if pairs.any() else np.nan


def _partners(fit: xr.Dataset, truth: xr.Dataset, permutation: np.ndarray) -> np.ndarray:
    """Fitted state that each true state is compared with."""
    partner = permutation[: truth.sizes["state"]].copy()
    for state in np.flatnonzero(partner < 0):
        # Without competitors the matching is the closest one.
        partner[state] = match_couplings(fit, truth.isel(state=[state]))[0]
    return partner


def _couplings(fit: xr.Dataset, truth: xr.Dataset, partner: np.ndarray) -> dict[str, float]:
    dims = ("state", "post", "pre")
    found = fit["connectivity"].transpose(*dims).values[partner]
    true = truth["connectivity"].transpose(*dims).values
    exists_as = np.sign(true).astype(int)
    if "connection_type" in truth:
        exists_as = truth["connection_type"].transpose(*dims).values
    types, balanced = np.nan, np.nan
    if "connection_type" in fit:
        chosen = fit["connection_type"].transpose(*dims).values[partner]
        types, balanced = float((chosen == exists_as).mean()), _mean_balanced(exists_as, chosen)
    exists = exists_as != 0
    varies = found.std() > 0 and true.std() > 0
    return {
        "connectivity_mse": float(((found - true) ** 2).mean(dtype=float)),
        "connectivity_correlation": (
            float(np.corrcoef(found.ravel(), true.ravel())[0, 1]) if varies else np.nan
        ),
        "type_accuracy": types,
        "type_balanced_accuracy": balanced,
        "threshold_balanced_accuracy": _best_threshold(exists_as, found),
        "sign_accuracy": (
            float((np.sign(found) == exists_as)[exists].mean()) if exists.any() else np.nan
        ),
        "average_precision": precision_recall(exists.ravel(), np.abs(found).ravel())[2],
        "type_average_precision": _type_average_precision(fit, exists, partner),
    }


def _type_average_precision(fit: xr.Dataset, exists: np.ndarray, partner: np.ndarray) -> float:
    if "connection_type_proba" not in fit:
        return np.nan
    proba = fit["connection_type_proba"].transpose("state", "post", "pre", "type").values[partner]
    return precision_recall(exists.ravel(), 1 - proba[..., 1].ravel())[2]


def _shared_types(fit: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    accuracy = balanced = np.nan
    if "shared_type_proba" in fit and "shared_type_proba" in truth:
        found, true = (
            data["shared_type_proba"].transpose("post", "pre", "type").values.argmax(-1)
            for data in (fit, truth)
        )
        accuracy, balanced = float((found == true).mean()), _balanced(true, found)
    return {"shared_type_accuracy": accuracy, "shared_type_balanced_accuracy": balanced}


def _balanced(true: np.ndarray, found: np.ndarray) -> float:
    """Mean over the classes that occur of the part that is found."""
    return float(np.mean([(found[true == c] == c).mean() for c in np.unique(true)]))


def _mean_balanced(true: np.ndarray, found: np.ndarray) -> float:
    return float(np.mean([_balanced(a, b) for a, b in zip(true, found, strict=True)]))


def _best_threshold(true: np.ndarray, couplings: np.ndarray) -> float:
    magnitude = np.abs(couplings)
    levels = np.unique(np.quantile(magnitude, np.linspace(0, 0.995, _N_THRESHOLDS)))
    types = np.sign(couplings)
    return max(_mean_balanced(true, types * (magnitude > level)) for level in levels)

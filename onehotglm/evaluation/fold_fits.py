"""One fit of a selection: of a fold and scored on what it holds out, or of all data."""

import time
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.base import clone

from onehotglm.errors import ConvergenceWarning
from onehotglm.estimator.scoring import poisson_log_likelihood
from onehotglm.evaluation.criteria import information_criteria
from onehotglm.evaluation.folds import Fold
from onehotglm.evaluation.redundancy import describe_states
from onehotglm.evaluation.stretches import Stretches, cut_stretches
from onehotglm.io.spikes import modelled

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

# States are described on evenly spread blocks of about so many bins.
_DESCRIBED_BINS = 20_000


class Outcome(NamedTuple):
    """What came of one fit.

    Attributes
    ----------
    n_states : int
    fold : int or None
        None: all data.
    interrupted, converged : bool
    seconds : float
    scores : DataFrame or None
        A row per held-out block: `n_states`, `fold`, `block`, `bits`, `n_spikes`.
    criteria : dict or None
        Of all data, see `information_criteria`.
    states : DataFrame or None
        Of all data, see `describe_states`.
    model : OneHotHMMGLM or None
        Of all data.
    """

    n_states: int
    fold: int | None
    interrupted: bool
    converged: bool
    seconds: float
    scores: pd.DataFrame | None = None
    criteria: dict[str, float] | None = None
    states: pd.DataFrame | None = None
    model: "OneHotHMMGLM | None" = None


def fit_fold(
    model: "OneHotHMMGLM", n_states: int, spikes: xr.DataArray, number: int, fold: Fold
) -> Outcome:
    """Fit to what a fold leaves, and score each held-out block.

    Parameters
    ----------
    model : OneHotHMMGLM
        Its parameters are used.
    n_states : int
    spikes : DataArray, dims (session, time, neuron)
    number : int
        Of the fold.
    fold : Fold

    Returns
    -------
    Outcome
    """
    train = cut_stretches(spikes, fold.train, model.n_lags)
    fitted, seconds = _fit(model, n_states, train)
    test = cut_stretches(spikes, fold.test, model.n_lags)
    scores = pd.DataFrame({"n_states": n_states, "fold": number, "block": fold.block})
    scores["session"] = test["parent_session"].values
    scores["start"] = fold.test.first_bin * float(spikes.attrs["bin_size"])
    scores["bits"] = _bits_gained(fitted, test)
    scores["n_spikes"] = modelled(test).sum(("time", "neuron"), dtype=float).values
    return Outcome(n_states, number, *_ending(fitted), seconds, scores=scores)


def fit_all(
    model: "OneHotHMMGLM", n_states: int, spikes: xr.DataArray, blocks: Stretches
) -> Outcome:
    """Fit to all data, and take what needs no held-out data.

    Parameters
    ----------
    model, n_states, spikes
        As in `fit_fold`.
    blocks : Stretches
        Of which some serve to describe the states.

    Returns
    -------
    Outcome
    """
    fitted, seconds = _fit(model, n_states, spikes)
    n_bins = int(blocks.n_time_bins.sum())
    n_blocks = len(blocks.session)
    n_kept = int(np.clip(n_blocks * _DESCRIBED_BINS / n_bins, 1, n_blocks))
    kept = np.linspace(0, n_blocks - 1, n_kept).astype(int)
    some = cut_stretches(spikes, Stretches(*(x[kept] for x in blocks)), model.n_lags)
    states = describe_states(fitted, some, n_bins)
    states.insert(0, "n_states", n_states)
    criteria = information_criteria(fitted, spikes)
    return Outcome(
        n_states, None, *_ending(fitted), seconds, criteria=criteria, states=states, model=fitted
    )


def _fit(model: "OneHotHMMGLM", n_states: int, train: xr.DataArray) -> tuple["OneHotHMMGLM", float]:
    fitted = clone(model).set_params(n_states=n_states, progress=False)
    if n_states == 1:
        fitted.set_params(n_init=1)  # nothing to choose between
    begin = time.perf_counter()
    with warnings.catch_warnings():
        # They are counted, and the states of the chosen number are described.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(train)
    return fitted, time.perf_counter() - begin


def _ending(fitted: "OneHotHMMGLM") -> tuple[bool, bool]:
    return fitted.stop_reason_ == "interrupted", bool(fitted.converged_)


def _bits_gained(fitted: "OneHotHMMGLM", test: xr.DataArray) -> np.ndarray:
    """Bits that each block gains over the training data's mean rates."""
    rates = fitted.mean_counts_ / fitted.bin_size_
    baseline = xr.DataArray(rates, {"neuron": test["neuron"]})
    gained = fitted.log_likelihood(test) - poisson_log_likelihood(baseline, test)
    return gained.values / np.log(2)

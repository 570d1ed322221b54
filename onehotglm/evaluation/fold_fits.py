"""The fits of a selection: to each fold, scored on what it holds out, and to all data."""

import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import pandas as pd
import xarray as xr
from sklearn.base import clone

from onehotglm.errors import ConvergenceWarning
from onehotglm.estimator.scoring import poisson_log_likelihood
from onehotglm.evaluation.criteria import information_criteria
from onehotglm.evaluation.folds import Fold
from onehotglm.evaluation.redundancy import describe_states
from onehotglm.evaluation.stretches import Stretches, cut_columns, cut_stretches
from onehotglm.inference.init import split_state
from onehotglm.io.spikes import modelled
from onehotglm.model.params import Params

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

# States are described on evenly spread blocks of about so many bins.
_DESCRIBED_BINS = 20_000


class Plan(NamedTuple):
    """What is to be fitted.

    Attributes
    ----------
    model : OneHotHMMGLM
        Its parameters are used.
    seed : int
        Of what is drawn beside the model's random starts.
    spikes : DataArray, dims (session, time, neuron)
    blocks : Stretches
    folds : list of Fold
    candidates : list of int
        Numbers of states, increasing.
    warm_start : bool
        Start each fit also from the one with fewer states to the same data.
    beside : dict of str to DataArray, dims (session, time, column)
        Keywords of the fit that run along the spikes (covariates, inputs), with their times.
    """

    model: "OneHotHMMGLM"
    seed: int
    spikes: xr.DataArray
    blocks: Stretches
    folds: list[Fold]
    candidates: list[int]
    warm_start: bool
    beside: dict[str, xr.DataArray]

    def cut(self, stretches: Stretches) -> tuple[xr.DataArray, dict[str, xr.DataArray]]:
        """Spikes, with the history of the model, and what runs along them, of some stretches."""
        return (
            cut_stretches(self.spikes, stretches, self.model.n_lags),
            {name: cut_columns(columns, stretches) for name, columns in self.beside.items()},
        )


class Outcome(NamedTuple):
    """What came of one fit.

    Attributes
    ----------
    n_states : int
    fold : int or None
        None: all data.
    interrupted, converged : bool
    seconds : float
    params : Params
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
    params: Params
    scores: pd.DataFrame | None = None
    criteria: dict[str, float] | None = None
    states: pd.DataFrame | None = None
    model: "OneHotHMMGLM | None" = None


def run_fits(plan: Plan, n_jobs: int | None, progress: bool) -> tuple[list[Outcome], bool]:
    """Run all fits of a plan.

    Parameters
    ----------
    plan : Plan
    n_jobs : int, optional
        As `joblib.Parallel` takes it.
    progress : bool

    Returns
    -------
    outcomes : list of Outcome
        In the order in which they came.
    interrupted : bool
        By Ctrl-C; the outcomes are not all then.
    """
    from joblib import Parallel, delayed
    from tqdm.auto import tqdm

    outcomes: list[Outcome] = []
    # Warm starts have to wait for the fits with fewer states.
    levels = [[number] for number in plan.candidates] if plan.warm_start else [plan.candidates]
    n_fits = len(plan.candidates) * (len(plan.folds) + 1)
    with tqdm(total=n_fits, unit="fit", disable=None if progress else True) as bar:
        for numbers in levels:
            calls = [
                delayed(_fit_one)(plan, number, fold, _parent(plan, outcomes, number, fold))
                for number in numbers
                for fold in (*range(len(plan.folds)), None)
            ]
            running = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(calls)
            try:
                for outcome in running:
                    # A fit takes the first Ctrl-C as a wish to end in good order.
                    if outcome.interrupted:
                        return outcomes, True
                    outcomes.append(outcome)
                    bar.set_description(f"{outcome.n_states} states")
                    bar.update()
            except KeyboardInterrupt:
                return outcomes, True
            finally:
                running.close()
    return outcomes, False


def _parent(
    plan: Plan, outcomes: Sequence[Outcome], n_states: int, fold: int | None
) -> Params | None:
    """Parameters of the largest smaller fit to the same data: nothing held out leaks in."""
    if not plan.warm_start:
        return None
    before = [o for o in outcomes if o.fold == fold and o.n_states < n_states]
    return max(before, key=lambda o: o.n_states).params if before else None


def _fit_one(plan: Plan, n_states: int, fold: int | None, parent: Params | None) -> Outcome:
    train, beside = plan.spikes, plan.beside
    if fold is not None:
        train, beside = plan.cut(plan.folds[fold].train)
    fitted = clone(plan.model).set_params(n_states=n_states, progress=False)
    if n_states == 1:
        fitted.set_params(n_init=1)  # nothing to choose between
    begin = time.perf_counter()
    with warnings.catch_warnings():
        # They are counted, and the states of the chosen number are described.
        warnings.simplefilter("ignore", ConvergenceWarning)
        starts = [] if parent is None else _splits(plan, parent, n_states)
        fitted.fit(train, starts=starts, **beside)
    outcome = Outcome(
        n_states,
        fold,
        fitted.stop_reason_ == "interrupted",
        bool(fitted.converged_),
        time.perf_counter() - begin,
        _numpy_params(fitted),
    )
    results = _of_all_data(plan, fitted) if fold is None else _of_fold(plan, fold, fitted)
    return outcome._replace(**results)


def _numpy_params(fitted: "OneHotHMMGLM") -> Params:
    with fitted._precision():
        return jax.tree.map(np.asarray, fitted._params())


def _splits(plan: Plan, parent: Params, n_states: int) -> list[Params]:
    """Make starts of a fit with fewer states: each splits others of the most occupied ones."""
    n_before = len(parent.initial)
    rng = np.random.default_rng([plan.seed, n_states])
    starts = []
    for first in range(min(plan.model.n_init, n_before)):
        start = parent
        for state in range(first, first + n_states - n_before):
            start = split_state(start, state % n_before, rng)
        starts.append(start)
    return starts


def _of_fold(plan: Plan, number: int, fitted: "OneHotHMMGLM") -> dict[str, Any]:
    """Scores of the blocks that a fold holds out."""
    fold = plan.folds[number]
    test, beside = plan.cut(fold.test)
    scores = pd.DataFrame({"n_states": fitted.n_states, "fold": number, "block": fold.block})
    scores["session"] = test["parent_session"].values
    scores["start"] = fold.test.first_bin * float(plan.spikes.attrs["bin_size"])
    scores["bits"] = _bits_gained(fitted, test, beside)
    scores["n_spikes"] = modelled(test).sum(("time", "neuron"), dtype=float).values
    return {"scores": scores}


def _of_all_data(plan: Plan, fitted: "OneHotHMMGLM") -> dict[str, Any]:
    """Collect what needs no held-out data."""
    n_time_bins, n_blocks = int(plan.blocks.n_time_bins.sum()), len(plan.blocks.session)
    n_kept = int(np.clip(n_blocks * _DESCRIBED_BINS / n_time_bins, 1, n_blocks))
    kept = np.linspace(0, n_blocks - 1, n_kept).astype(int)
    some = Stretches(*(x[kept] for x in plan.blocks))
    some_spikes, beside = plan.cut(some)
    states = describe_states(fitted, some_spikes, n_time_bins, **beside)
    states.insert(0, "n_states", fitted.n_states)
    criteria = information_criteria(fitted, plan.spikes, **plan.beside)
    return {"criteria": criteria, "states": states, "model": fitted}


def _bits_gained(
    fitted: "OneHotHMMGLM", test: xr.DataArray, beside: dict[str, xr.DataArray]
) -> np.ndarray:
    """Bits that each block gains over the training data's mean rates."""
    rates = fitted.mean_counts_ / fitted.bin_size_
    baseline = xr.DataArray(rates, {"neuron": test["neuron"]})
    log_likelihood = fitted.log_likelihood(test, **beside)
    return (log_likelihood - poisson_log_likelihood(baseline, test)).values / np.log(2)

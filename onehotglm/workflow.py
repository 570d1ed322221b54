"""What the command line does: hold out blocks, fit the priors, decode, write a result folder."""

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.evaluation import block_interval

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM
    from onehotglm.evaluation import StateSelection
    from onehotglm.report import ReportContent

# Of several priors the result folder describes the last of these that was fitted.
PRIORS = ("none", "gaussian", "one-hot")
ONE_STATE = "one state"


class FittedPrior(NamedTuple):
    """One fit and how well it predicts.

    Attributes
    ----------
    name : str
        The prior, or "one state".
    model : OneHotHMMGLM
    bits_per_spike, low, high : float
        Of the held-out sessions, with a 95 % interval from resampling these sessions; of
        the training sessions, without interval, where none is held out.
    train_bits_per_spike : float
    seconds : float
        That the fit took, compilation included.
    warnings : tuple of str
        Shown while fitting.
    """

    name: str
    model: "OneHotHMMGLM"
    bits_per_spike: float
    low: float
    high: float
    train_bits_per_spike: float
    seconds: float
    warnings: tuple[str, ...]


def model_settings(
    prior: str, parameters: Mapping[str, Any], *, baseline: bool = True
) -> dict[str, dict[str, Any]]:
    """Name the fits to run: one per prior, after a baseline without states.

    Parameters
    ----------
    prior : {"none", "gaussian", "one-hot", "all"}
    parameters : mapping
        Parameters of `OneHotHMMGLM` that all fits share.
    baseline : bool
        Add a fit with one state where `parameters` has more.

    Returns
    -------
    dict of str to dict
        For `fit_and_score`.

    Examples
    --------
    >>> list(model_settings("all", {"n_states": 3}))
    ['one state', 'none', 'gaussian', 'one-hot']
    """
    priors = PRIORS if prior == "all" else (prior,)
    settings = {name: {**parameters, "prior": name} for name in priors}
    if baseline and parameters["n_states"] > 1:
        one_state = {**parameters, "prior": priors[-1], "n_states": 1, "n_init": 1}
        settings = {ONE_STATE: one_state} | settings
    return settings


def choose_n_states(
    folder: Path, train: xr.DataArray, prior: str, parameters: Mapping[str, Any], max_states: int
) -> "StateSelection":
    """Choose the number of states, and write ``n_states.csv`` and ``n_states.png``.

    Parameters
    ----------
    folder : Path
        An existing folder.
    train : DataArray, dims (session, time, neuron)
        Held out in turn by five folds of sessions; fewer where there are fewer sessions.
    prior : {"none", "gaussian", "one-hot", "all"}
        Of the fits; with several the one that the result folder describes.
    parameters : mapping
        Of `OneHotHMMGLM`.
    max_states : int

    Returns
    -------
    StateSelection
    """
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM
    from onehotglm.evaluation import select_n_states

    *_, settings = model_settings(prior, parameters, baseline=False).values()
    selection = select_n_states(
        train,
        range(1, max_states + 1),
        model=OneHotHMMGLM(**settings),
        cv=min(5, max(train.sizes["session"], 2)),
    )
    selection.table.to_csv(folder / "n_states.csv", float_format="%.6g")
    selection.plot()[0].figure.savefig(folder / "n_states.png", dpi=150)
    return selection


def with_checkpoints(
    settings: Mapping[str, Mapping[str, Any]], folder: Path
) -> dict[str, dict[str, Any]]:
    """Let every fit keep a checkpoint in the result folder, and go on from it.

    Parameters
    ----------
    settings : mapping
        From `model_settings`.
    folder : Path

    Returns
    -------
    dict of str to dict
    """
    return {
        name: {**parameters, "checkpoint": _checkpoint(folder, name), "resume": True}
        for name, parameters in settings.items()
    }


def forget_checkpoints(folder: Path) -> None:
    """Remove what `with_checkpoints` kept, once the results are written."""
    for path in folder.glob(_checkpoint(folder, "*").name):
        path.unlink()


def _checkpoint(folder: Path, name: str) -> Path:
    return folder / f"fit_{name.replace(' ', '_')}.ckpt"


def fit_and_score(
    name: str,
    parameters: Mapping[str, Any],
    train: xr.DataArray,
    test: xr.DataArray | None = None,
) -> FittedPrior:
    """Fit one model and score it on the held-out sessions.

    Parameters
    ----------
    name : str
        What the tables call it.
    parameters : mapping
        Of its `OneHotHMMGLM`.
    train : DataArray, dims (session, time, neuron)
    test : DataArray, optional
        Without it the score is that of the training sessions.

    Returns
    -------
    FittedPrior
    """
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

    begin = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = OneHotHMMGLM(**parameters).fit(train)
    seconds = time.perf_counter() - begin
    messages = tuple(dict.fromkeys(f"{name}: {item.message}" for item in caught))
    train_score = model.score(train)
    if test is None:
        score, low, high = train_score, np.nan, np.nan
    else:
        score, (low, high) = model.score(test), block_interval(model, test)
    return FittedPrior(name, model, score, low, high, train_score, seconds, messages)


def score_table(fits: Sequence[FittedPrior], test: xr.DataArray | None = None) -> pd.DataFrame:
    """Table of the fits as the report shows it.

    Parameters
    ----------
    fits : sequence of FittedPrior
    test : DataArray, optional
        The held-out sessions: adds what each fit gains over the one with one state, with the
        95 % interval of the difference, which is far narrower than the scores' own intervals.

    Returns
    -------
    DataFrame
        A row per fit: `name`, `bits_per_spike`, `low`, `high`, and how the fit went.
    """
    rows = []
    for fit in fits:
        row = {
            "name": fit.name,
            "bits_per_spike": fit.bits_per_spike,
            "low": fit.low,
            "high": fit.high,
        }
        if test is not None and fits[0].name == ONE_STATE:
            gain = "-"
            if fit is not fits[0]:
                low, high = block_interval(fit.model, test, minus=fits[0].model)
                difference = fit.bits_per_spike - fits[0].bits_per_spike
                gain = f"{difference:+.3f} ({low:.3f} to {high:.3f})"
            row["over one state"] = gain
        row |= {
            "training": fit.train_bits_per_spike,
            "iterations": fit.model.n_iter_,
            "stopped by": fit.model.stop_reason_,
            "seconds": fit.seconds,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def decode(model: "OneHotHMMGLM", spikes: xr.DataArray) -> xr.Dataset:
    """States, their probabilities and predicted rates of every bin."""
    return xr.Dataset(
        {
            "states": model.predict_states(spikes),
            "posterior": model.predict_proba(spikes),
            "rates": model.predict_rates(spikes),
        }
    )


def states_frame(decoded: xr.Dataset, held_out: Iterable[Any] = ()) -> pd.DataFrame:
    """One row per bin: session, time, state, probability of every state.

    Parameters
    ----------
    decoded : Dataset
        From `decode`.
    held_out : iterable
        Labels of the sessions that the fit has not seen.

    Returns
    -------
    DataFrame
        Columns `session`, `time` (s from the start of the session), `recording_time`
        (s on the recording's clock, where it is known), `held_out`, `state`, and
        `probability_0`, ... .  Padding has no rows.
    """
    states = decoded["states"].transpose("session", "time")
    posterior = decoded["posterior"].transpose("session", "time", "state").values
    session, bins = np.nonzero(states.values >= 0)
    time = states["time"].values[bins]
    labels = states["session"].values[session]
    frame = pd.DataFrame({"session": labels, "time": time})
    if "session_start" in states.coords:
        frame["recording_time"] = states["session_start"].values[session] + time
    frame["held_out"] = np.isin(labels, list(held_out))
    frame["state"] = states.values[session, bins]
    for state in range(posterior.shape[2]):
        frame[f"probability_{state}"] = posterior[session, bins, state]
    return frame


def compare_with_truth(
    fits: Sequence[FittedPrior], truth: xr.Dataset, spikes: xr.DataArray
) -> pd.DataFrame:
    """Measures of recovery, a column per fit that has as many states as the truth.

    Parameters
    ----------
    fits : sequence of FittedPrior
    truth : Dataset
        Of the simulation, its `states` on the bins of `spikes`.
    spikes : DataArray, dims (session, time, neuron)

    Returns
    -------
    DataFrame
        A row per measure of `onehotglm.recovery`, a column per fit.
    """
    from onehotglm.evaluation import recovery

    return pd.DataFrame(
        {
            fit.name: recovery(fit.model, truth, fit.model.predict_states(spikes))
            for fit in fits
            if fit.model.n_states == truth.sizes["state"]
        }
    )


def in_labels_of(states: xr.DataArray, truth: xr.Dataset) -> xr.Dataset:
    """Truth with its states named as the decoded states that they match."""
    from onehotglm.estimator.match import match_paths, reorder_states

    n_states = truth.sizes["state"]
    return reorder_states(truth, match_paths(truth["states"], states, n_states=n_states))


def write_results(
    folder: Path,
    title: str,
    fits: Sequence[FittedPrior],
    spikes: xr.DataArray,
    test: xr.DataArray | None,
    *,
    facts: Mapping[str, Any],
    truth: xr.Dataset | None = None,
) -> "ReportContent":
    """Write ``fit.nc``, ``states.csv``, figures and ``report.html``.

    Parameters
    ----------
    folder : Path
        An existing folder.
    title : str
    fits : sequence of FittedPrior
        From `fit_and_score`; the last one is described, the others are kept as
        ``fit_NAME.nc``.
    spikes : DataArray, dims (session, time, neuron)
        All sessions.
    test : DataArray or None
        Those that were held out.
    facts : mapping of str to object
        About the recording, for the top of the report.
    truth : Dataset, optional
        Of a simulation: adds the comparison.

    Returns
    -------
    ReportContent
        What the report shows.
    """
    from onehotglm.evaluation import true_model
    from onehotglm.references import citation
    from onehotglm.report import ReportContent, write_report

    *others, main = fits
    main.model.save(folder / "fit.nc")
    for fit in others:
        fit.model.save(folder / f"fit_{fit.name.replace(' ', '_')}.nc")
    held_out = () if test is None else tuple(test["session"].values)
    decoded = decode(main.model, spikes)
    states_frame(decoded, held_out).to_csv(folder / "states.csv", index=False, float_format="%.6g")
    notes = [note for fit in fits for note in fit.warnings]
    if test is None:
        notes.append("No session was held out: the scores are those of the training sessions.")
    comparison: dict[str, Any] = {}
    if truth is not None:
        comparison = {
            "truth": in_labels_of(decoded["states"], truth),
            "recovery": compare_with_truth(fits, truth, spikes),
            "true_score": true_model(main.model, truth).score(spikes if test is None else test),
        }
    content = ReportContent(
        title=title,
        facts=facts,
        fit=main.model.to_dataset(),
        spikes=spikes,
        states=decoded["states"],
        posterior=decoded["posterior"],
        rates=decoded["rates"],
        scores=score_table(fits, test),
        warnings=notes,
        citation=citation("software", "one-hot"),
        **comparison,
    )
    write_report(folder / "report.html", content, figure_folder=folder)
    return content

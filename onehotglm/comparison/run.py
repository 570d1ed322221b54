"""Fit decoders to the same blocks of a recording, and score them on the same held-out ones."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import clone

from onehotglm.comparison.decoders import FLAGSHIP, make_decoders
from onehotglm.comparison.result import Comparison, DecoderResult
from onehotglm.errors import InvalidInputError
from onehotglm.estimator.scoring import mean_rates, modelled, poisson_log_likelihood
from onehotglm.estimator.validate import as_spikes
from onehotglm.evaluation import hold_out, split_blocks, true_wiring
from onehotglm.networks import Decoder
from onehotglm.networks.effective_connectivity import check_lags

SECOND_INTERRUPT = 2.0
"""Seconds within which a second Ctrl-C ends the comparison."""


Blocks = tuple[xr.DataArray, xr.DataArray]


def compare(
    spikes: Any,
    decoders: Sequence[str] | Mapping[str, Decoder] | None = None,
    *,
    n_states: int = 3,
    block_length: float | None = 20.0,
    holdout: int = 5,
    n_history_bins: int = 10,
    reference: str | None = None,
    truth: xr.Dataset | None = None,
    random_state: int = 0,
    progress: bool = True,
    on_result: Callable[[Comparison], None] | None = None,
) -> Comparison:
    """Compare decoders on the same bins of a recording or simulation.

    Sessions are cut into whole blocks, of which every fifth is held out; all decoders are
    fitted to the other blocks and predict every held-out bin from the bins before it.  What
    is left at the end of a session is dropped.

    A decoder that fails is listed with its error and the others go on.  Ctrl-C gives up
    the decoder that is being fitted (the flagship's first one ends its fit early and keeps
    it); twice within two seconds ends the comparison with what there is.

    Parameters
    ----------
    spikes : DataArray, Dataset, or what `OneHotHMMGLM.fit` takes
        Counts; of a simulation the whole Dataset, whose ``connectivity`` then joins the
        comparison as the true wiring.
    decoders : sequence of str or mapping of str to Decoder, optional
        Names out of ``homogeneous`` (constant rates), ``glm`` (one state), ``hmm-glm`` (the
        flagship), ``rnn``, ``gru``, ``lstm``, ``astrosnn``, ``bdh``; or decoders of your own,
        which are copied.  Default: the first five.
    n_states : int
        Of ``hmm-glm``.
    block_length : float or None
        Seconds of a block; None takes the sessions as they are, for example trials.
    holdout : int
        Every so-many-th block is held out.
    n_history_bins : int
        True past of each block that decoders may read.
    reference : str, optional
        Decoder that differences are to; default ``hmm-glm``, or the first one.
    truth : Dataset, optional
        Of a simulation whose spikes come alone: its ``connectivity``, and ``states``.
    random_state : int
        Seed of the decoders made by name.
    progress : bool
        Show a bar in a terminal.
    on_result : callable, optional
        Called with the comparison so far after every decoder, for example to save it.

    Returns
    -------
    Comparison
        With ``table``, ``connectivity``, ``correlations``, ``wiring`` and methods that plot
        and save them.

    Raises
    ------
    InvalidInputError
        If a decoder is unknown, the blocks are too few or too short, or no decoder could be
        fitted.

    Examples
    --------
    >>> from onehotglm import simulate_population
    >>> simulation = simulate_population(n_neurons=4, n_sessions=6, n_time_bins=200)
    >>> comparison = compare(simulation, ["homogeneous"], block_length=4.0)
    >>> comparison.table["name"].tolist(), comparison.n_spikes.sizes["session"]
    (['homogeneous'], 1)
    """
    chosen = make_decoders(decoders, n_states=n_states, random_state=random_state)
    reference = _reference(reference, chosen)
    if isinstance(spikes, xr.Dataset):
        spikes, truth = _opened(spikes, truth)
    spikes = as_spikes(spikes)
    wiring = _wiring(truth, spikes)
    train, test = _blocks(spikes, block_length, holdout, n_history_bins)
    for decoder in chosen.values():
        if "n_lags" in decoder.get_params():
            check_lags(train, decoder.get_params()["n_lags"])
    results: list[DecoderResult] = []
    failures: dict[str, str] = {}
    n_spikes = modelled(test).sum(("time", "neuron"), dtype=float)
    comparison = Comparison(results, n_spikes, reference, failures, wiring)
    with _Bar(list(chosen), progress) as bar:
        for name in bar:
            result = _attempt(name, chosen[name], (train, test), failures, bar)
            if result is not None:
                results.append(result)
                if on_result is not None:
                    on_result(comparison)
    for name in chosen.keys() - {result.name for result in results}:
        failures.setdefault(name, "not fitted, as the comparison was ended")
    if not results:
        _raise_failures(failures)
    return comparison


class _Bar:
    """Names one after the other, with a progress bar; and the end at a double Ctrl-C."""

    def __init__(self, names: list[str], progress: bool):
        self.names, self.progress = names, progress
        self._interrupted_at = -np.inf
        self._ended = False

    def __enter__(self) -> "_Bar":
        from tqdm import tqdm

        disable = None if self.progress else True
        self._bar = tqdm(total=len(self.names), unit="fit", leave=False, disable=disable)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __iter__(self) -> Any:
        for name in self.names:
            if self._ended:
                return
            self._bar.set_description(f"fitting {name}")
            yield name
            self._bar.update()

    def interrupt(self) -> None:
        """Note a Ctrl-C."""
        now = time.monotonic()
        self._ended = now - self._interrupted_at < SECOND_INTERRUPT
        self._interrupted_at = now


def _reference(reference: str | None, chosen: Mapping[str, Decoder]) -> str:
    if reference is None:
        return FLAGSHIP if FLAGSHIP in chosen else next(iter(chosen))
    if reference not in chosen:
        raise InvalidInputError(
            f"reference={reference!r} is not compared; choose one of {', '.join(chosen)}"
        )
    return reference


def _opened(
    simulation: xr.Dataset, truth: xr.Dataset | None
) -> tuple[xr.DataArray, xr.Dataset | None]:
    """Spikes and truth of a Dataset."""
    if "spikes" not in simulation:
        raise InvalidInputError(
            "got a Dataset without spikes; pass a simulation, or the spikes themselves"
        )
    if truth is None and "connectivity" in simulation:
        truth = simulation
    return simulation["spikes"], truth


def _wiring(truth: xr.Dataset | None, spikes: xr.DataArray) -> xr.DataArray | None:
    if truth is None:
        return None
    wiring, n_neurons = true_wiring(truth), spikes.sizes["neuron"]
    if wiring.shape != (n_neurons, n_neurons):
        raise InvalidInputError(
            f"the true wiring has the sizes {dict(wiring.sizes)}, but the spikes are of "
            f"{n_neurons} neurons; pass the truth of the same neurons"
        )
    return wiring


def _blocks(spikes: xr.DataArray, length: float | None, holdout: int, n_history: int) -> Blocks:
    """Training and held-out blocks."""
    if holdout < 2:
        raise InvalidInputError(
            f"holdout={holdout}, expected at least 2: a comparison needs blocks to predict"
        )
    if length is not None:
        spikes = split_blocks(spikes, length, n_history_bins=n_history, keep_short=False)
    train, test = hold_out(spikes, holdout)
    if test is None or not float(modelled(test).sum()):
        raise InvalidInputError(
            "the held-out blocks hold no spike to predict; choose longer blocks or another holdout"
        )
    return train, test


def _attempt(
    name: str, decoder: Decoder, blocks: Blocks, failures: dict[str, str], bar: _Bar
) -> DecoderResult | None:
    """Fit and score one decoder, or write down why not."""
    try:
        return _fit_and_score(name, decoder, blocks)
    except KeyboardInterrupt:
        failures[name] = "interrupted"
        bar.interrupt()
    except Exception as error:  # whatever went wrong in one decoder must not lose the others
        failures[name] = f"{type(error).__name__}: {error}"
    return None


def _fit_and_score(name: str, decoder: Decoder, blocks: Blocks) -> DecoderResult:
    train, test = blocks
    begin = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decoder = clone(decoder).fit(train)
    seconds = time.perf_counter() - begin
    messages = tuple(dict.fromkeys(str(item.message) for item in caught))
    baseline = poisson_log_likelihood(mean_rates(train), test)
    bits = (decoder.log_likelihood(test) - baseline) / np.log(2)
    return DecoderResult(name, decoder, bits, decoder.score(train), seconds, messages)


def _raise_failures(failures: Mapping[str, str]) -> None:
    if set(failures.values()) == {"interrupted"}:
        raise KeyboardInterrupt
    reasons = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
    raise InvalidInputError(f"no decoder could be fitted ({reasons})")

"""What decoded states say about a slow signal: mutual information against shifted controls."""

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.random_state import RandomState, numpy_generator


def state_information(
    states: xr.DataArray,
    signal: xr.DataArray,
    *,
    n_levels: int = 4,
    n_shifts: int = 200,
    random_state: RandomState = 0,
) -> xr.Dataset:
    r"""Mutual information of states and a signal, beside that of states shifted in time.

    The signal is cut into levels that are equally common, and the information is that of the
    counts of bins in each state s and level q,

    .. math:: I = \sum_{s,q} p(s,q) \log_2 \frac{p(s,q)}{p(s)\, p(q)}

    Two slow signals share information by chance, the more the slower they are.  The control
    turns the states of every session around by a random number of bins, its end joined to its
    beginning: that keeps how long they last, and loses when they came.

    Parameters
    ----------
    states : DataArray of int, dims (session, time)
        Decoded states; negative in bins that are not there.
    signal : DataArray, dims (session, time) or (session, time, neuron)
        Of the same bins: calcium, speed, a principal component.  Every neuron has its own
        levels and its own information.
    n_levels : int
        At least 2.
    n_shifts : int
        Number of controls.
    random_state : int, key or numpy Generator
        Seed of the shifts.

    Returns
    -------
    Dataset
        ``information`` in bits, (neuron) where the signal has neurons; ``shifted``
        (shift, ...), the same of the controls; ``p_value``, part of the controls with at least
        as much, the decoded path itself counted among them; ``signal_entropy`` and
        ``state_entropy``, the most that information can be, in bits.

    Raises
    ------
    InvalidInputError
        If the bins are not the same, no bin is known, or a number is too small.

    Examples
    --------
    >>> states = xr.DataArray([[0] * 20 + [1] * 20], dims=("session", "time"))
    >>> signal = xr.DataArray(np.arange(40.0)[None], dims=("session", "time"))
    >>> found = state_information(states, signal, n_levels=2, n_shifts=50)
    >>> float(found["information"]), float(found["shifted"].mean()) < 0.5
    (1.0, True)
    """
    if n_levels < 2 or n_shifts < 1:
        raise InvalidInputError(
            f"n_levels={n_levels} and n_shifts={n_shifts}; expected at least 2 levels and 1 shift"
        )
    values, known = _aligned(states, signal)
    path = states.transpose("session", "time").values
    levels = _level_indicators(values[known], n_levels)
    lengths = known.sum(axis=1)
    labels, path = np.unique(path[known], return_inverse=True)
    in_state = np.eye(len(labels), dtype=np.float32)[path]
    rng = numpy_generator(random_state)
    found = _information(in_state, levels)
    shifted = [_information(in_state[_turned(lengths, rng)], levels) for _ in range(n_shifts)]
    dims = tuple(str(dim) for dim in signal.dims if dim not in ("session", "time"))
    shape = [signal.sizes[dim] for dim in dims]
    # Sums in another order may differ in the last digit.
    p_value = (1 + (np.array(shifted) >= found - 1e-9).sum(axis=0)) / (1 + n_shifts)
    bits = {"units": "bits"}
    return xr.Dataset(
        {
            "information": (dims, found.reshape(shape), bits),
            "shifted": (("shift", *dims), np.reshape(shifted, (n_shifts, *shape)), bits),
            "p_value": (dims, p_value.reshape(shape)),
            "signal_entropy": (dims, _entropy(levels.mean(axis=1)).reshape(shape), bits),
            "state_entropy": ((), _entropy(in_state.mean(axis=0)), bits),
        },
        coords={dim: signal[dim] for dim in dims if dim in signal.coords},
    )


def _aligned(states: xr.DataArray, signal: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Signals (session, time, signal), and which bins are known (session, time)."""
    wanted = {"session", "time"}
    if set(states.dims) != wanted or not wanted <= set(signal.dims) or signal.ndim > 3:
        raise InvalidInputError(
            f"states have the dims {states.dims}, the signal {signal.dims}; expected (session, "
            "time), and for the signal possibly neurons"
        )
    sizes = [[data.sizes[dim] for dim in ("session", "time")] for data in (states, signal)]
    times = [data["time"].values for data in (states, signal) if "time" in data.coords]
    if sizes[0] != sizes[1] or (len(times) == 2 and not np.allclose(times[0], times[1])):
        raise InvalidInputError(
            f"states have (session, time) of the sizes {sizes[0]}, the signal {sizes[1]}; expected "
            "the same sessions and times: select those of the decoded states from the signal"
        )
    values = signal.transpose("session", "time", ...).values.astype(float)
    values = values.reshape(*values.shape[:2], -1)
    known = (states.transpose("session", "time").values >= 0) & np.isfinite(values).all(axis=2)
    if not known.any():
        raise InvalidInputError("no bin has both a state and a signal")
    return values, known


def _level_indicators(values: np.ndarray, n_levels: int) -> np.ndarray:
    """Which level each bin is in, shape (signal, bin, level); levels are equally common."""
    inner = np.quantile(values, np.arange(1, n_levels) / n_levels, axis=0)
    level = (values[None] > inner[:, None]).sum(axis=0)
    return np.eye(n_levels, dtype=np.float32)[level.T]


def _turned(lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Order of the bins after each session has been turned around by a random number of them."""
    starts = np.cumsum(lengths) - lengths
    shifts = rng.integers(np.maximum(lengths, 1))
    parts = [
        start + (np.arange(length) + shift) % max(length, 1)
        for start, length, shift in zip(starts, lengths, shifts, strict=True)
    ]
    return np.concatenate(parts)


def _information(in_state: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Bits that states (bin, state) share with each signal (signal, bin, level)."""
    joint = np.einsum("bs,nbq->nsq", in_state, levels, optimize=True) / len(in_state)
    alone = _entropy(joint.sum(axis=2)) + _entropy(joint.sum(axis=1))
    return alone - _entropy(joint.reshape(len(joint), -1))


def _entropy(proba: np.ndarray) -> np.ndarray:
    """Bits, over the last axis."""
    proba = np.asarray(proba, float)
    return -(proba * np.log2(np.where(proba > 0, proba, 1))).sum(axis=-1)

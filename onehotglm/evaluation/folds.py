"""Folds of a recording for cross-validation, without leakage from what is held out.

What makes spike trains leak, and what is done about it:

- Neighbouring bins share their state: whole sessions or whole blocks are held out, never bins.
- A block cut from a session has a past: its history is of the true bins before it, whether they
  are trained on or not.  They are what is conditioned on, and nothing is learned from the block.
- States cross no cut: each block and each stretch of training data is a chain of its own, so that
  a block's states are inferred from its own counts and the parameters alone.
- Counts of a held-out block are history to the bins after it.  Training on these bins would not
  bias the score to first order (given its past, a bin's residual has mean zero; Bergmeir, Hyndman
  & Koo 2018), but the fit would depend on held-out counts.  A gap as long as the history rules
  that out exactly; a longer one also leaves out bins that share slow changes with the block.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.evaluation.stretches import Stretches
from onehotglm.io.spikes import session_lengths

# A part of a bin within which times count as equal.
_TOLERANCE = 1e-3


class Fold(NamedTuple):
    """What is held out together, and what the fit sees then.

    Attributes
    ----------
    train, test : Stretches
    block : int array, shape (test stretch,)
        Which of all blocks the held-out ones are.
    """

    train: Stretches
    test: Stretches
    block: np.ndarray


def make_blocks(spikes: xr.DataArray, block_length: float | None) -> Stretches:
    """Divide sessions into the blocks that are held out.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
    block_length : float, optional
        Seconds.  A session is cut into equal blocks of about this length.  Default: whole
        sessions.

    Returns
    -------
    Stretches
        In the order of time within each session; sessions without a count have none.

    Raises
    ------
    InvalidInputError
        If a block would be shorter than a bin.

    Examples
    --------
    >>> spikes = xr.DataArray(
    ...     np.zeros((1, 70, 2)), dims=("session", "time", "neuron"),
    ...     coords={"time": 0.1 * np.arange(70)}, attrs={"bin_size": 0.1},
    ... )
    >>> make_blocks(spikes, 2.0).n_time_bins.tolist()
    [18, 17, 17, 18]
    """
    lengths = session_lengths(spikes)
    bin_size = float(spikes.attrs["bin_size"])
    n_blocks = (lengths > 0).astype(int)
    if block_length is not None:
        if not np.isfinite(block_length) or block_length < (1 - _TOLERANCE) * bin_size:
            raise InvalidInputError(
                f"block_length is {block_length!r} s, expected at least one bin of {bin_size:g} s"
            )
        n_blocks *= np.maximum(np.rint(lengths * bin_size / block_length), 1).astype(int)
    session = np.repeat(np.arange(len(lengths)), n_blocks)
    edges = [
        np.rint(np.linspace(0, length, number + 1)).astype(int)
        for length, number in zip(lengths, n_blocks, strict=True)
    ]
    first = np.concatenate([edge[:-1] for edge in edges])
    return Stretches(session, first, np.concatenate([np.diff(edge) for edge in edges]))


def make_folds(
    spikes: xr.DataArray, blocks: Stretches, cv: int | Sequence[int], gap: float
) -> list[Fold]:
    """Hold every block out once.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
    blocks : Stretches
        From `make_blocks`.
    cv : int or sequence of int, one per block
        Number of folds: block i is in fold ``i % cv``, so that each spreads over the
        recording.  Or the fold of every block.
    gap : float
        Seconds next to a held-out block, on both sides, that are not trained on.  Where
        sessions lie on a clock (`session_start`), it holds across sessions, and a session
        that overlaps with a held-out block is trained on outside it only.

    Returns
    -------
    list of Fold

    Raises
    ------
    InvalidInputError
        If there are fewer than two folds, or a fold leaves nothing to train on.
    """
    label = _fold_labels(cv, len(blocks.session))
    if not np.isfinite(gap) or gap < 0:
        raise InvalidInputError(f"gap is {gap!r} s, expected 0 or more seconds")
    start = _starts_in_bins(spikes, blocks)
    gap_bins = gap / float(spikes.attrs["bin_size"])
    folds = []
    for fold in np.unique(label):
        held_out = np.flatnonzero(label == fold)
        barred = np.column_stack([start[held_out], start[held_out] + blocks.n_time_bins[held_out]])
        barred = barred + gap_bins * np.array([-1, 1])
        train = _outside(blocks, np.flatnonzero(label != fold), start, barred)
        if not len(train.session):
            raise InvalidInputError(
                f"fold {fold} leaves no bin to train on; choose a shorter gap (now {gap:g} s), "
                "longer blocks or more folds"
            )
        folds.append(Fold(train, Stretches(*(x[held_out] for x in blocks)), held_out))
    return folds


def _fold_labels(cv: int | Sequence[int], n_blocks: int) -> np.ndarray:
    if isinstance(cv, int | np.integer) and not isinstance(cv, bool):
        if not 2 <= cv <= n_blocks:
            raise InvalidInputError(
                f"cv={cv} folds of {n_blocks} blocks; expected between 2 and the number of blocks. "
                "Cut long sessions into more by block_length=20.0 (seconds)"
            )
        return np.arange(n_blocks) % cv
    label = np.asarray(cv)
    if label.shape != (n_blocks,) or not np.issubdtype(label.dtype, np.integer):
        raise InvalidInputError(
            f"cv={cv!r}; expected a number of folds, or the fold of each of the {n_blocks} blocks "
            "as an integer"
        )
    if len(np.unique(label)) < 2:
        raise InvalidInputError("cv names one fold for all blocks; expected at least two")
    return label


def _starts_in_bins(spikes: xr.DataArray, blocks: Stretches) -> np.ndarray:
    """Where each block starts, in bins on a line on which apart means apart."""
    bin_size = float(spikes.attrs["bin_size"])
    # Without a clock sessions have nothing to do with each other: no gap reaches across.
    session_start = np.arange(spikes.sizes["session"]) * 1e9
    if "session_start" in spikes.coords:
        session_start = spikes["session_start"].values.astype(float) / bin_size
    return session_start[blocks.session] + blocks.first_bin


def _outside(
    blocks: Stretches, chosen: np.ndarray, start: np.ndarray, barred: np.ndarray
) -> Stretches:
    """Cut barred intervals (in bins) out of the chosen blocks, by whole bins."""
    kept = []
    for block in chosen:
        session, first, length = (int(x[block]) for x in blocks)
        free = np.ones(length, bool)
        low = np.floor(barred[:, 0] - start[block] + _TOLERANCE).astype(int)
        high = np.ceil(barred[:, 1] - start[block] - _TOLERANCE).astype(int)
        for begin, end in zip(np.maximum(low, 0), np.minimum(high, length), strict=True):
            free[begin : max(end, begin)] = False
        edges = np.flatnonzero(np.diff(np.r_[False, free, False]))
        kept += [(session, first + a, b - a) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return Stretches(*np.array(kept, dtype=int).reshape(-1, 3).T)

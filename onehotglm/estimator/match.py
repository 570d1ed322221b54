"""Which state of one fit is which of another, or of the truth.

States bear arbitrary labels: two fits, or a fit and the simulation, agree up to a
permutation.  It is found by the Hungarian method (Kuhn 1955), from the couplings or
from the paths.
"""

from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment

from onehotglm.errors import InvalidInputError

STATE_DIMS = ("state", "next_state")


def match_couplings(fit: xr.Dataset, reference: xr.Dataset) -> np.ndarray:
    """Match states whose regressions are most alike.

    The cost of a pair of states is ``sum (W - W')^2 + sum (b - b')^2`` over couplings
    (summed over lags) and biases.

    Parameters
    ----------
    fit, reference : Dataset
        With ``connectivity`` (state, post, pre), and with ``bias`` (state, neuron), which
        counts where both have it.

    Returns
    -------
    ndarray of int, shape (at least n_states,)
        Entry i is the state of `fit` that is state i of `reference`; -1 where `reference`
        has more states and none is left.  States of `fit` without partner go last.

    Raises
    ------
    InvalidInputError
        If couplings are missing, or of other neurons.

    Examples
    --------
    >>> couplings = xr.DataArray([[[0.0]], [[1.0]], [[5.0]]], dims=("state", "post", "pre"))
    >>> fit = couplings.to_dataset(name="connectivity")
    >>> match_couplings(fit, fit.isel(state=[2, 0])).tolist()
    [2, 0, 1]
    """
    both_have_bias = "bias" in fit and "bias" in reference
    found, true = (_regressions(data, both_have_bias) for data in (fit, reference))
    if found.shape[1] != true.shape[1]:
        raise InvalidInputError(
            f"connectivity has the sizes {dict(fit['connectivity'].sizes)} and "
            f"{dict(reference['connectivity'].sizes)}; expected the same neurons in both"
        )
    return _assign(((true[:, None] - found[None]) ** 2).sum(-1))


def match_paths(
    states: Any,
    reference: Any,
    *,
    n_states: int | None = None,
    n_reference_states: int | None = None,
) -> np.ndarray:
    """Match states that are occupied at the same time.

    Parameters
    ----------
    states, reference : array_like of int, shape (session, time)
        Paths over the same bins; bins where either is negative are padding.
    n_states, n_reference_states : int, optional
        Numbers of states, where some may never be visited; default: as many as occur.

    Returns
    -------
    ndarray of int, shape (at least n_states,)
        As `match_couplings` returns.

    Raises
    ------
    InvalidInputError
        If the paths have other bins.

    Examples
    --------
    >>> match_paths([[1, 1, 0, 2, -1]], [[0, 0, 1, 1, 0]]).tolist()
    [1, 0, 2]
    """
    return _assign(-confusion(states, reference, n_states, n_reference_states))


def confusion(
    states: Any, reference: Any, n_states: int | None = None, n_reference_states: int | None = None
) -> np.ndarray:
    """Count the bins in every pair of states; parameters as in `match_paths`.

    Returns
    -------
    ndarray of int, shape (n_reference_states, n_states)

    Examples
    --------
    >>> confusion([0, 1, 1, -1], [0, 0, 1, 1])
    array([[1, 1],
           [0, 1]])
    """
    found, true = np.asarray(states), np.asarray(reference)
    if found.shape != true.shape:
        raise InvalidInputError(
            f"the paths have the shapes {found.shape} and {true.shape}; expected states of the "
            "same sessions and bins"
        )
    known = (found >= 0) & (true >= 0)
    found, true = found[known].astype(int), true[known].astype(int)
    n_states = _at_least(found, n_states)
    n_reference_states = _at_least(true, n_reference_states)
    pairs = np.bincount(true * n_states + found, minlength=n_reference_states * n_states)
    return pairs.reshape(n_reference_states, n_states)


def reorder_states(dataset: xr.Dataset, permutation: Any) -> xr.Dataset:
    """Give states new labels.

    Parameters
    ----------
    dataset : Dataset
        A fit, a simulation, or decoded states.
    permutation : array_like of int
        From `match_couplings` or `match_paths`: entry i is the state that becomes state i.
        Entries of -1 are passed over.

    Returns
    -------
    Dataset
        With every variable permuted along ``state`` and ``next_state``, and the labels in an
        integer variable ``states`` replaced; -1 stays.

    Raises
    ------
    InvalidInputError
        If it is not a permutation of the dataset's states.

    Examples
    --------
    >>> fit = xr.Dataset({"bias": ("state", [1.0, 2.0]), "states": ("time", [0, 0, 1, -1])})
    >>> new = reorder_states(fit, [1, 0])
    >>> new["bias"].values.tolist(), new["states"].values.tolist()
    ([2.0, 1.0], [1, 1, 0, -1])
    """
    order = np.asarray(permutation, dtype=int)
    order = order[order >= 0]
    n_states = next((dataset.sizes[dim] for dim in STATE_DIMS if dim in dataset.dims), len(order))
    if sorted(order) != list(range(n_states)):
        raise InvalidInputError(
            f"{np.asarray(permutation).tolist()} is no permutation of {n_states} states; expected "
            f"each of 0 to {n_states - 1} once, as match_couplings or match_paths returns"
        )
    dims = [dim for dim in STATE_DIMS if dim in dataset.dims]
    # Labels name places, not states: place i keeps its label.
    labels = {dim: dataset[dim] for dim in dims if dim in dataset.coords}
    new = dataset.isel({dim: order for dim in dims}).assign_coords(labels)
    if "states" in dataset:
        new["states"] = _relabelled(dataset["states"], order)
    return new


def _relabelled(states: xr.DataArray, order: np.ndarray) -> xr.DataArray:
    if states.size and int(states.max()) >= len(order):
        raise InvalidInputError(
            f"states holds the label {int(states.max())}, but the permutation has {len(order)} "
            "states"
        )
    values = np.where(states.values >= 0, np.argsort(order)[states.values], states.values)
    return states.copy(data=values.astype(states.dtype))


def _regressions(dataset: xr.Dataset, with_bias: bool) -> np.ndarray:
    """All couplings and biases of a state in one row."""
    if "connectivity" not in dataset or "state" not in dataset["connectivity"].dims:
        raise InvalidInputError(
            "states are matched by connectivity with the dims state, post, pre, which the dataset "
            f"lacks; it has {', '.join(map(str, dataset.data_vars)) or 'no variable'}"
        )
    rows = [dataset["connectivity"].transpose("state", "post", "pre").values]
    if with_bias:
        rows.append(dataset["bias"].transpose("state", "neuron").values)
    return np.concatenate([np.nan_to_num(row).reshape(len(row), -1) for row in rows], axis=1)


def _at_least(labels: np.ndarray, number: int | None) -> int:
    return max(int(labels.max(initial=-1)) + 1, number or 0)


def _assign(cost: np.ndarray) -> np.ndarray:
    """Permutation of least cost; `cost` has shape (reference state, state)."""
    n_reference, n_states = cost.shape
    rows, columns = linear_sum_assignment(cost)
    partner = np.full(n_reference, -1)
    partner[rows] = columns
    return np.append(partner, np.setdiff1d(np.arange(n_states), columns))

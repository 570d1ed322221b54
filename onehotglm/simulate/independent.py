"""Spikes of groups of neurons whose states switch independently."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.random_state import RandomState
from onehotglm.simulate.recording import simulate_from


def simulate_independent_chains(
    parameters: xr.Dataset,
    groups: Sequence[Any] | np.ndarray,
    *,
    n_sessions: int = 1,
    n_time_bins: int = 3000,
    random_state: RandomState = 0,
) -> xr.Dataset:
    """Record a population in which every group of neurons has a chain of states of its own.

    Parameters
    ----------
    parameters : xarray.Dataset
        From `simulate_population`: every group switches as its chain does, and a neuron's
        couplings and bias are those of its group's state.
    groups : array_like, shape (neuron,)
        Label of every neuron's group.
    n_sessions, n_time_bins, random_state
        As in `simulate_from`.

    Returns
    -------
    xarray.Dataset
        `parameters` with new `spikes`, `rates`, and `states` (group, session, time).

    Raises
    ------
    InvalidInputError
        If there is not one label per neuron.

    Examples
    --------
    >>> from onehotglm.simulate import simulate_population
    >>> one = simulate_population(n_neurons=4, n_states=2, n_sessions=1, n_time_bins=100)
    >>> two = simulate_independent_chains(one, [0, 0, 1, 1], n_sessions=2, n_time_bins=50)
    >>> dict(two["states"].sizes)
    {'group': 2, 'session': 2, 'time': 50}
    """
    labels = np.asarray(groups)
    n_neurons, n_states = parameters.sizes["neuron"], parameters.sizes["state"]
    if labels.shape != (n_neurons,):
        raise InvalidInputError(
            f"groups has the shape {labels.shape} for {n_neurons} neurons; expected one label "
            "per neuron"
        )
    names, group = np.unique(labels, return_inverse=True)
    # One chain over all combinations of the groups' states does the same.
    combined = np.array(list(product(range(n_states), repeat=len(names))))
    of_neuron = combined[:, group]
    index = np.arange(n_neurons)
    weights = parameters["weights"].transpose("state", "post", "pre", "basis").values
    transition, initial = np.ones((1, 1)), np.ones(1)
    for _ in names:
        transition = np.kron(transition, parameters["transition_matrix"].values)
        initial = np.kron(initial, parameters["initial_proba"].values)
    joint = xr.Dataset(
        {
            "weights": (("state", "post", "pre", "basis"), weights[of_neuron, index]),
            "bias": (("state", "neuron"), parameters["bias"].values[of_neuron, index]),
            "transition_matrix": (("state", "next_state"), transition),
            "initial_proba": ("state", initial),
            "basis_functions": parameters["basis_functions"].drop_vars("lag", errors="ignore"),
        },
        coords={"neuron": parameters["neuron"].values},
        attrs=parameters.attrs,
    )
    recorded = simulate_from(
        joint, n_sessions=n_sessions, n_time_bins=n_time_bins, random_state=random_state
    )
    states = np.moveaxis(combined[recorded["states"].values], -1, 0)
    kept = parameters.drop_dims(["session", "time"], errors="ignore")
    return kept.assign(
        spikes=recorded["spikes"],
        rates=recorded["rates"],
        states=(("group", "session", "time"), states),
    ).assign_coords(group=names)

"""A whole simulation: wiring, states, biases and spikes as one xarray Dataset."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.special import ndtr, ndtri

from onehotglm.errors import InvalidInputError
from onehotglm.kernels.emissions import LINKS
from onehotglm.kernels.history import BASES, make_basis
from onehotglm.random_state import RandomState, numpy_generator, spawn
from onehotglm.simulate.checks import check_count, check_number
from onehotglm.simulate.connectome import TYPES, Connectome
from onehotglm.simulate.recording import simulate_from
from onehotglm.simulate.stability import stabilise
from onehotglm.simulate.switching import StateWiring, wiring_over_states
from onehotglm.simulate.synapses import make_connectome, published_connectome


class _Time(NamedTuple):
    """Bins, and how couplings spread over them."""

    bin_size: float
    link: str
    basis: np.ndarray  # (basis, lag)
    profile: np.ndarray  # (basis,): weight per unit of coupling summed over lags


def simulate_population(
    connectome: Connectome | str = "random",
    *,
    n_neurons: int | None = None,
    n_states: int = 3,
    n_sessions: int = 10,
    n_time_bins: int = 3000,
    bin_size: float = 0.02,
    link: str = "softplus",
    basis: str = "exponential",
    n_lags: int = 5,
    n_basis: int | None = None,
    mean_rate: float = 8.0,
    rate_spread: float = 0.7,
    rate_variation: float = 0.4,
    dwell_time: float | Sequence[float] = 2.0,
    coupling_gain: float | None = 0.9,
    vanish: float | None = None,
    flip: float | None = None,
    strength_variation: float | None = None,
    random_state: RandomState = 0,
    **options: float,
) -> xr.Dataset:
    """Simulate spikes of neurons whose couplings change with a hidden brain state.

    ``x[t,n] ~ Poisson(g(b[z_t,n] + sum_{m,k} W[z_t,n,m,k] sum_l phi_k[l] x[t-l,m]))``,
    z a Markov chain.  The wiring comes from a connectome; each state loses some of its
    connections and changes their strength (`wiring_over_states`).  Rates stay where
    they should: the strengths are scaled to a loop gain below one, and the biases set
    the mean-field rates of every neuron in every state (`onehotglm.simulate.stability`).

    Parameters
    ----------
    connectome : Connectome or str
        A wiring of your own (`make_connectome`, `connectome_from_edges`, ...), or the
        name of a family: "random", "distance", "small_world", "modular", "scale_free" or
        "published".
    n_neurons : int, optional
        With a family. Default 20.
    n_states : int
    n_sessions : int
    n_time_bins : int
        Per session.
    bin_size : float
        In seconds.
    link : {"softplus", "exp", "sigmoid", "log1p_softplus", "sqrt_softplus"}
    basis : {"exponential", "raised_cosine", "lags"}
        Couplings decay by a factor e per bin, in whatever basis.
    n_lags : int
        Bins that the couplings reach back.
    n_basis : int, optional
        Number of raised cosines.
    mean_rate : float
        Target rate in Hz, mean over neurons and states.
    rate_spread : float
        Standard deviation of the log-rate over neurons (log-normal, as in cortex and
        hippocampus: Buzsáki and Mizuseki 2014, Nature Reviews Neuroscience 15:264),
        within two standard deviations.
    rate_variation : float
        Standard deviation of the log-rate of one neuron over states, likewise.
    dwell_time : float or sequence of floats
        Mean time in a state (or in each), in seconds.
    coupling_gain : float or None
        All strengths are scaled by one factor so that this bounds how much the network
        amplifies activity, in every state: below one, bursts die out
        (`onehotglm.simulate.stability`). None: strengths stay as the connectome has them.
    vanish, flip, strength_variation : float, optional
        How states differ: see `wiring_over_states`.
    random_state : int, numpy Generator or RandomState, or jax key
        An int gives the same Dataset every time.
    **options
        Options of the family: see `make_connectome` and `published_connectome`.

    Returns
    -------
    xarray.Dataset
        `spikes` (session, time, neuron; counts), `states` (session, time), `rates`
        (session, time, neuron; Hz), and the truth: `weights` (state, post, pre, basis),
        `connectivity` and `connection_type` (state, post, pre), `shared_connectivity`
        (post, pre), `shared_type_proba` (post, pre, type), `bias` (state, neuron),
        `transition_matrix`, `initial_proba`, `basis_functions` (basis, lag), and
        `position` or `module` of the neurons where they have one. Attributes:
        `bin_size`, `link`, `connectome` (its kind), `coupling_gain`.

    Raises
    ------
    InvalidInputError
        If an argument is out of range, or rates explode where `coupling_gain` does not
        prevent it.

    Examples
    --------
    >>> simulation = simulate_population("modular", n_neurons=12, n_modules=3, n_states=2,
    ...                                  n_sessions=2, n_time_bins=500)
    >>> dict(simulation["weights"].sizes)
    {'state': 2, 'post': 12, 'pre': 12, 'basis': 1}
    """
    wire, switch, place, record = spawn(numpy_generator(random_state), 4)
    n_states = check_count("n_states", n_states)
    time = _time(bin_size, link, basis, n_lags, n_basis)
    connectome = _connectome(connectome, n_neurons, wire, options)
    wiring = wiring_over_states(
        connectome,
        n_states,
        switch,
        vanish=vanish,
        flip=flip,
        strength_variation=strength_variation,
    )
    spread = check_number("rate_spread", rate_spread, 0.0)
    variation = check_number("rate_variation", rate_variation, 0.0)
    mean_rate = check_number("mean_rate", mean_rate, 0.0, above=True)
    target = mean_rate * _relative_rates(n_states, connectome.n_neurons, spread, variation, place)
    if coupling_gain is not None:
        coupling_gain = check_number("coupling_gain", coupling_gain, 0.0, above=True)
    kernel = time.profile @ time.basis
    stable = stabilise(
        wiring.connectivity, target * time.bin_size, kernel, link, coupling_gain, place
    )
    _warn_of_gain(stable.gain)
    wiring = wiring._replace(
        connectivity=stable.scale * wiring.connectivity,
        shared_connectivity=stable.scale * wiring.shared_connectivity,
    )
    transitions = markov_chain(n_states, dwell_time, time.bin_size)
    parameters = _parameters(connectome, wiring, stable.bias, transitions, time)
    parameters.attrs["coupling_gain"] = stable.gain
    return simulate_from(
        parameters, n_sessions=n_sessions, n_time_bins=n_time_bins, random_state=record
    )


def simulate_published(
    *,
    n_neurons: int = 20,
    n_states: int = 5,
    n_sessions: int = 50,
    n_time_bins: int = 2000,
    bin_size: float = 0.02,
    random_state: RandomState = 0,
) -> xr.Dataset:
    """Simulate the synthetic benchmark of Li et al. (2024).

    Types from a Dirichlet prior that the states share (`published_connectome`), biases
    ``U(-0.05, 0.05)`` that they share, strengths of their own, sigmoid link, exponential
    basis of 5 bins, and 0.98 probability to stay.

    Parameters
    ----------
    n_neurons, n_states, n_sessions, n_time_bins : int
    bin_size : float
        In seconds; a label here, for the benchmark counts in bins.
    random_state : int, numpy Generator or RandomState, or jax key

    Returns
    -------
    xarray.Dataset
        As from `simulate_population`.

    References
    ----------
    Li, Li, Chen and Wu (2024). One-hot generalized linear model for switching brain
    state discovery. ICLR.

    Examples
    --------
    >>> data = simulate_published(n_sessions=1, n_time_bins=500)
    >>> round(float(data["transition_matrix"][0, 0]), 2)
    0.98
    """
    wire, switch, place, record = spawn(numpy_generator(random_state), 4)
    n_states = check_count("n_states", n_states)
    connectome = published_connectome(n_neurons, random_state=wire)
    wiring = wiring_over_states(connectome, n_states, switch)
    bias = np.tile(place.uniform(-0.05, 0.05, connectome.n_neurons), (n_states, 1))
    time = _time(bin_size, "sigmoid", "exponential", 5, None)
    transitions = markov_chain(n_states, 50 * time.bin_size, time.bin_size)
    return simulate_from(
        _parameters(connectome, wiring, bias, transitions, time),
        n_sessions=n_sessions,
        n_time_bins=n_time_bins,
        random_state=record,
    )


def markov_chain(
    n_states: int, dwell_time: float | Sequence[float], bin_size: float
) -> tuple[np.ndarray, np.ndarray]:
    """Transitions with given mean dwell times, and the distribution they settle in.

    Parameters
    ----------
    n_states : int
    dwell_time : float or sequence of floats
        Mean time in a state, or in each, in seconds; the next one is any other.
    bin_size : float
        In seconds.

    Returns
    -------
    transition_matrix : array, shape (state, next_state)
    stationary : array, shape (state,)

    Raises
    ------
    InvalidInputError
        If a dwell time is below one bin, or there is not one per state.

    Examples
    --------
    >>> markov_chain(2, [1.0, 3.0], 0.1)[0].round(3).tolist()
    [[0.9, 0.1], [0.033, 0.967]]
    """
    dwell = np.atleast_1d(np.asarray(dwell_time, float))
    if dwell.shape not in ((1,), (n_states,)) or not np.isfinite(dwell).all():
        raise InvalidInputError(
            f"dwell_time={dwell_time!r}; expected seconds, one number or one for each of "
            f"{n_states} states"
        )
    if (dwell < bin_size).any():
        raise InvalidInputError(
            f"dwell_time={dwell_time!r}; expected at least one bin ({bin_size:g} s)"
        )
    if n_states == 1:
        return np.ones((1, 1)), np.ones(1)
    leave = np.broadcast_to(bin_size / dwell, (n_states,))
    transition = np.repeat(leave[:, None] / (n_states - 1), n_states, axis=1)
    np.fill_diagonal(transition, 1 - leave)
    # All other states are equally likely next, so time in a state goes as its dwell time.
    return transition, (1 / leave) / (1 / leave).sum()


def _connectome(
    connectome: Connectome | str, n_neurons: int | None, rng: np.random.Generator, options: dict
) -> Connectome:
    if isinstance(connectome, Connectome):
        if n_neurons is not None or options:
            extra = [*options, *(["n_neurons"] if n_neurons is not None else [])]
            raise InvalidInputError(
                f"{', '.join(extra)} belong to the wiring, which is given; pass them to the "
                "function that made the connectome"
            )
        return connectome
    if not isinstance(connectome, str):
        raise InvalidInputError(
            f"connectome is a {type(connectome).__name__}; expected a Connectome (see "
            "connectome_from_adjacency, connectome_from_edges) or the name of a family"
        )
    n_neurons = 20 if n_neurons is None else n_neurons
    if connectome == "published":
        return published_connectome(n_neurons, random_state=rng, **options)
    return make_connectome(connectome, n_neurons, random_state=rng, **options)


def _time(bin_size: float, link: str, basis: str, n_lags: int, n_basis: int | None) -> _Time:
    bin_size = check_number("bin_size", bin_size, 0.0, above=True)
    n_lags = check_count("n_lags", n_lags)
    for name, value, known in (("link", link, LINKS), ("basis", basis, BASES)):
        if value not in known:
            raise InvalidInputError(
                f"{name} {value!r} is unknown; choose one of {', '.join(known)}"
            )
    if n_basis is not None:
        if basis != "raised_cosine":
            raise InvalidInputError(f"n_basis={n_basis}, but only raised_cosine takes a number")
        n_basis = check_count("n_basis", n_basis)
    functions = make_basis(basis, n_lags, n_basis)
    mass = functions.sum(axis=1)
    lag = functions @ np.arange(1, n_lags + 1) / mass
    profile = np.exp(-(lag - lag.min()))
    return _Time(bin_size, link, functions, profile / (profile @ mass))


def _relative_rates(
    n_states: int, n_neurons: int, spread: float, variation: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw log-normal rates (state, neuron) whose mean is one."""

    def within_two_deviations(*shape: int) -> np.ndarray:
        # The far tail of the log-normal holds rates that no neuron has.
        return ndtri(rng.uniform(ndtr(-2.0), ndtr(2.0), shape))

    neuron = spread * within_two_deviations(n_neurons)
    state = variation * within_two_deviations(n_states, n_neurons)
    rates = np.exp(neuron + state)
    return rates / rates.mean()


def _warn_of_gain(gain: float) -> None:
    if gain >= 1:
        warnings.warn(
            f"the recurrent loop has a gain of {gain:.2f}; from 1 on activity can feed itself "
            "and the rates may run away: use coupling_gain below 1",
            stacklevel=3,
        )


def _parameters(
    connectome: Connectome,
    wiring: StateWiring,
    bias: np.ndarray,
    transitions: tuple[np.ndarray, np.ndarray],
    time: _Time,
) -> xr.Dataset:
    """Everything that is known before the first spike."""
    ids, states = connectome.neuron_ids, np.arange(len(bias))
    coupling = ("state", "post", "pre")
    parameters = xr.Dataset(
        {
            "weights": ((*coupling, "basis"), wiring.connectivity[..., None] * time.profile),
            "connectivity": (coupling, wiring.connectivity),
            "connection_type": (coupling, wiring.connection_type),
            "shared_connectivity": (("post", "pre"), wiring.shared_connectivity),
            "shared_type_proba": (("post", "pre", "type"), wiring.shared_type_proba),
            "bias": (("state", "neuron"), bias),
            "transition_matrix": (("state", "next_state"), transitions[0]),
            "initial_proba": (("state",), transitions[1]),
            "basis_functions": (("basis", "lag"), time.basis),
        },
        coords={
            "neuron": ids,
            "post": ids,
            "pre": ids,
            "state": states,
            "next_state": states,
            "type": list(TYPES),
            "lag": np.arange(1, time.basis.shape[1] + 1),
        },
        attrs={"bin_size": time.bin_size, "link": time.link, "connectome": connectome.kind},
    )
    if connectome.position is not None:
        parameters = parameters.assign_coords(
            axis=["x", "y"], position=(("neuron", "axis"), connectome.position, {"units": "mm"})
        )
    if connectome.module is not None:
        parameters = parameters.assign_coords(module=("neuron", connectome.module))
    return parameters

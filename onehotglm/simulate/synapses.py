"""Signs and strengths for a graph: from a wiring to a connectome."""

import inspect

import numpy as np

from onehotglm.errors import InvalidInputError
from onehotglm.random_state import RandomState, numpy_generator
from onehotglm.simulate.checks import check_count, check_number
from onehotglm.simulate.connectome import TYPES, Connectome
from onehotglm.simulate.wiring import WIRINGS


def make_connectome(
    kind: str = "random",
    n_neurons: int = 20,
    *,
    dale: bool = True,
    excitatory_fraction: float = 0.8,
    balance: float = 1.0,
    strength_spread: float = 0.5,
    random_state: RandomState = 0,
    **options: float,
) -> Connectome:
    """Connectome from a family of random graphs.

    Strengths are log-normal, as synapses are (Song et al. 2005, PLoS Biology 3:e68).

    Parameters
    ----------
    kind : {"random", "distance", "small_world", "modular", "scale_free"}
        Family of graphs; the functions of `onehotglm.simulate.wiring` describe them.
    n_neurons : int
    dale : bool
        Whether every presynaptic neuron has one sign (Dale's law); else every
        connection draws its own.
    excitatory_fraction : float
        Fraction of excitatory neurons (with `dale`) or connections (without).
    balance : float
        Total inhibitory strength over total excitatory strength.
    strength_spread : float
        Standard deviation of the logarithm of the strengths; 0 makes them equal.
    random_state : int, numpy Generator or RandomState, or jax key
    **options
        Options of the family: ``density`` (random, distance), ``length_scale`` and
        ``sheet_size`` (distance), ``n_neighbors`` and ``rewiring`` (small_world),
        ``n_modules``, ``within`` and ``between`` (modular), ``n_links`` and
        ``reciprocal`` (scale_free).

    Returns
    -------
    Connectome

    Raises
    ------
    InvalidInputError
        If the kind or an option is unknown, or a value is out of its range.

    Examples
    --------
    >>> connectome = make_connectome("modular", 40, n_modules=4, random_state=1)
    >>> connectome.module[[0, 10, 20, 30]].tolist(), connectome.dale
    ([0, 1, 2, 3], True)
    """
    n_neurons = check_count("n_neurons", n_neurons)
    fraction = check_number("excitatory_fraction", excitatory_fraction, 0.0, 1.0)
    balance = check_number("balance", balance, 0.0, above=True)
    spread = check_number("strength_spread", strength_spread, 0.0)
    _check_options(kind, options)
    rng = numpy_generator(random_state)
    wiring = WIRINGS[kind](n_neurons, rng, **options)
    sign = (
        _neuron_signs(n_neurons, fraction, rng)
        if dale
        else _connection_signs(n_neurons, fraction, rng)
    )
    connection_type = wiring.adjacency * sign
    strength = np.exp(spread * rng.standard_normal((n_neurons, n_neurons)))
    strength = _balanced(connection_type, strength, balance)
    return Connectome(
        kind,
        connection_type,
        strength,
        position=wiring.position,
        module=wiring.module,
        dale=bool(dale),
    )


def published_connectome(
    n_neurons: int = 20,
    *,
    type_proba: tuple[float, float, float] = (0.1, 0.8, 0.1),
    concentration: float = 2.0,
    random_state: RandomState = 0,
) -> Connectome:
    """Draw connection types as the generator of Li et al. (2024) does.

    Every connection, self-connections among them, has type probabilities that all
    states share, ``pi[n,m] ~ Dirichlet(concentration * type_proba)``; each state draws
    its types from them, and its strengths as ``log U(1, 4)``, independently.

    Parameters
    ----------
    n_neurons : int
    type_proba : tuple of three floats
        Mean probability of inhibitory, absent, excitatory.
    concentration : float
        High values make the connections alike, low ones make the states alike.
    random_state : int, numpy Generator or RandomState, or jax key

    Returns
    -------
    Connectome
        Without a shared strength.

    References
    ----------
    Li, Li, Chen and Wu (2024). One-hot generalized linear model for switching brain
    state discovery. ICLR.

    Examples
    --------
    >>> published_connectome(50).shared_type_proba.mean((0, 1)).round(1).tolist()
    [0.1, 0.8, 0.1]
    """
    n_neurons = check_count("n_neurons", n_neurons)
    concentration = check_number("concentration", concentration, 0.0, above=True)
    mean = np.asarray(type_proba, float)
    if mean.shape != (len(TYPES),) or not (mean > 0).all() or not np.isclose(mean.sum(), 1):
        raise InvalidInputError(
            f"type_proba={type_proba!r}; expected three positive numbers that sum to one, "
            f"in the order {', '.join(TYPES)}"
        )
    rng = numpy_generator(random_state)
    proba = rng.dirichlet(concentration * mean, (n_neurons, n_neurons))
    types = proba.argmax(axis=-1) - 1
    return Connectome("published", types, None, shared_type_proba=proba)


def _check_options(kind: str, options: dict[str, float]) -> None:
    if kind not in WIRINGS:
        raise InvalidInputError(
            f"kind {kind!r} is unknown; choose one of {', '.join(WIRINGS)} (or build a "
            "connectome with published_connectome, connectome_from_edges or "
            "connectome_from_adjacency)"
        )
    parameters = inspect.signature(WIRINGS[kind]).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InvalidInputError(
            f"kind {kind!r} has no option {', '.join(unknown)}; it has {', '.join(known)}"
        )


def _neuron_signs(n_neurons: int, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Draw one sign per presynaptic neuron; both signs occur unless one is ruled out."""
    n_excitatory = round(fraction * n_neurons)
    if 0 < fraction < 1 and n_neurons > 1:
        n_excitatory = min(max(n_excitatory, 1), n_neurons - 1)
    sign = np.where(np.arange(n_neurons) < n_excitatory, 1, -1)
    return rng.permutation(sign)[None, :]


def _connection_signs(n_neurons: int, fraction: float, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random((n_neurons, n_neurons)) < fraction, 1, -1)


def _balanced(connection_type: np.ndarray, strength: np.ndarray, balance: float) -> np.ndarray:
    """Zero where there is no connection; inhibition over excitation in total = `balance`."""
    strength = np.where(connection_type == 0, 0.0, strength)
    excitation = strength[connection_type == 1].sum()
    inhibition = strength[connection_type == -1].sum()
    if excitation == 0 or inhibition == 0:
        return strength
    return np.where(connection_type == -1, balance * excitation / inhibition, 1.0) * strength

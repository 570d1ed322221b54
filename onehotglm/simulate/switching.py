"""What each brain state makes of a connectome: its types and strengths."""

from typing import NamedTuple

import numpy as np

from onehotglm.errors import InvalidInputError
from onehotglm.simulate.checks import check_number
from onehotglm.simulate.connectome import Connectome

# What a state changes, unless told otherwise, where there is more than one.
DEFAULT_VANISH = 0.25
DEFAULT_STRENGTH_VARIATION = 0.3


class StateWiring(NamedTuple):
    """Types and strengths per state, and what they are drawn from."""

    connection_type: np.ndarray  # int8 (state, post, pre)
    connectivity: np.ndarray  # (state, post, pre), signed
    shared_type_proba: np.ndarray  # (post, pre, type)
    shared_connectivity: np.ndarray  # (post, pre): mean over (infinitely many) states


def wiring_over_states(
    connectome: Connectome,
    n_states: int,
    rng: np.random.Generator,
    *,
    vanish: float | None = None,
    flip: float | None = None,
    strength_variation: float | None = None,
) -> StateWiring:
    """Draw the types and strengths of every state.

    A connection that exists in the connectome is absent from a state with probability
    `vanish`, has the other sign with probability `flip` and keeps its own otherwise,
    independently in every state: these are its `shared_type_proba`.  Its strength in
    state s is ``strength * exp(v z_s - v^2 / 2)`` with z standard normal.

    Parameters
    ----------
    connectome : Connectome
    n_states : int
    rng : numpy.random.Generator
    vanish : float, optional
        Default 0.25, or 0 where there is one state.
    flip : float, optional
        Default 0.
    strength_variation : float, optional
        Standard deviation v of the log-strengths over states. Default 0.3, or 0 where
        there is one state.

    Returns
    -------
    StateWiring

    Raises
    ------
    InvalidInputError
        If a value is out of range, `flip` would break Dale's law, or the connectome
        brings its own law for what is to be changed.

    Examples
    --------
    >>> from onehotglm.simulate import make_connectome
    >>> connectome = make_connectome(n_neurons=50, density=0.2, random_state=1)
    >>> wiring = wiring_over_states(connectome, 4, np.random.default_rng(2), vanish=0.5)
    >>> (wiring.connection_type != 0).mean((1, 2)).round(1).tolist()
    [0.1, 0.1, 0.1, 0.1]
    """
    proba = _type_proba(connectome, n_states, vanish, flip)
    uniform = rng.random((n_states, *proba.shape[:2], 1))
    # Index of the first edge above the draw; the last edge is infinite against rounding.
    edges = np.cumsum(proba[..., :-1], axis=-1)
    types = (uniform >= edges).sum(axis=-1) - 1
    strength, mean_strength = _strengths(connectome, n_states, strength_variation, rng)
    shared = (proba[..., 2] - proba[..., 0]) * mean_strength
    return StateWiring(types.astype(np.int8), types * strength, proba, shared)


def _type_proba(
    connectome: Connectome, n_states: int, vanish: float | None, flip: float | None
) -> np.ndarray:
    """Probabilities (post, pre, type) that all states share."""
    if connectome.shared_type_proba is not None:
        if vanish is not None or flip is not None:
            raise InvalidInputError(
                f"vanish={vanish}, flip={flip}, but this connectome ({connectome.kind}) has its "
                "own shared_type_proba; leave both out"
            )
        return connectome.shared_type_proba
    if vanish is None:
        vanish = DEFAULT_VANISH if n_states > 1 else 0.0
    vanish = check_number("vanish", vanish, 0.0, 1.0)
    flip = check_number("flip", 0.0 if flip is None else flip, 0.0, 1.0)
    if vanish + flip > 1:
        raise InvalidInputError(f"vanish={vanish} and flip={flip}; expected a sum of at most 1")
    if flip and connectome.dale:
        raise InvalidInputError(
            f"flip={flip} would break Dale's law, which this connectome follows; use flip=0, "
            "or a connectome with dale=False"
        )
    base = connectome.connection_type
    exists = base != 0
    proba = np.zeros((*base.shape, 3))
    proba[..., 1] = np.where(exists, vanish, 1.0)
    rows, columns = np.nonzero(exists)
    proba[rows, columns, base[exists] + 1] = 1 - vanish - flip
    proba[rows, columns, 1 - base[exists]] = flip
    return proba


def _strengths(
    connectome: Connectome, n_states: int, variation: float | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | float]:
    """Strengths (state, post, pre), and their mean over states."""
    shape = (n_states, *connectome.connection_type.shape)
    if connectome.strength is None:
        if variation is not None:
            raise InvalidInputError(
                f"strength_variation={variation}, but the states of this connectome "
                f"({connectome.kind}) share no strength; leave it out"
            )
        # Li et al. (2024): log U(1, 4), whose mean is (4 log 4 - 3) / 3.
        return np.log(rng.uniform(1.0, 4.0, shape)), (4 * np.log(4.0) - 3) / 3
    if variation is None:
        variation = DEFAULT_STRENGTH_VARIATION if n_states > 1 else 0.0
    variation = check_number("strength_variation", variation, 0.0)
    factor = np.exp(variation * rng.standard_normal(shape) - variation**2 / 2)
    return connectome.strength * factor, connectome.strength

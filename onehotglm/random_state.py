"""One random stream from whatever a user calls a seed."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from onehotglm.errors import InvalidInputError

RandomState = int | np.random.Generator | np.random.RandomState | PRNGKeyArray | None


def numpy_generator(random_state: RandomState) -> np.random.Generator:
    """Numpy generator from any kind of random state.

    Parameters
    ----------
    random_state : int, numpy Generator or RandomState, jax key (typed or legacy), or None
        An int or a key gives the same stream every time; a numpy generator is drawn
        from and so advances; None takes fresh entropy.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    InvalidInputError
        If `random_state` is none of these.

    Examples
    --------
    >>> int(numpy_generator(0).integers(100)) == int(numpy_generator(0).integers(100))
    True
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if random_state is None:
        return np.random.default_rng()
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        if random_state >= 0:
            return np.random.default_rng(int(random_state))
    elif isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**32, size=4, dtype=np.uint32))
    elif isinstance(random_state, jax.Array | np.ndarray) and _is_key(random_state):
        words = jax.random.key_data(random_state) if _is_typed(random_state) else random_state
        return np.random.default_rng(np.asarray(words))
    raise InvalidInputError(
        f"random_state={random_state!r} is not a seed; pass a non-negative int, a numpy "
        "Generator or RandomState, one jax key, or None"
    )


def jax_key(rng: np.random.Generator) -> PRNGKeyArray:
    """Typed threefry key, drawn from a numpy generator.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advances.

    Returns
    -------
    PRNG key

    Examples
    --------
    >>> jax_key(np.random.default_rng(0)).shape
    ()
    """
    words = rng.integers(0, 2**32, size=2, dtype=np.uint32)
    return jax.random.wrap_key_data(jnp.asarray(words), impl="threefry2x32")


def as_key(random_state: RandomState) -> PRNGKeyArray:
    """Typed key from any kind of random state.

    Parameters
    ----------
    random_state : int, key, numpy Generator or RandomState, or None
        An int gives ``jax.random.key`` of it, a typed key itself; all others as in
        `numpy_generator`.

    Returns
    -------
    PRNG key

    Raises
    ------
    InvalidInputError
        If `random_state` is none of these.

    Examples
    --------
    >>> bool(as_key(3) == as_key(jax.random.key(3)) == jax.random.key(3))
    True
    """
    if isinstance(random_state, jax.Array) and _is_typed(random_state) and _is_key(random_state):
        return random_state
    rng = numpy_generator(random_state)
    if isinstance(random_state, int | np.integer):
        return jax.random.key(int(random_state))
    return jax_key(rng)


def spawn(rng: np.random.Generator, n_streams: int) -> list[np.random.Generator]:
    """Independent generators, one per purpose.

    With a stream for each purpose, changing an option of one (say, the number of
    time bins) leaves what the others draw (the wiring) as it was.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advances.
    n_streams : int

    Returns
    -------
    list of numpy.random.Generator
    """
    words = rng.integers(0, 2**32, size=(n_streams, 4), dtype=np.uint32)
    return [np.random.default_rng(row) for row in words]


def _is_typed(key: jax.Array | np.ndarray) -> bool:
    return jnp.issubdtype(key.dtype, jax.dtypes.prng_key)


def _is_key(key: jax.Array | np.ndarray) -> bool:
    if _is_typed(key):
        return key.shape == ()
    return key.dtype == np.uint32 and key.shape in ((2,), (4,))

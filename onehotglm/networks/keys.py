"""Random keys from seeds."""

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from onehotglm.errors import InvalidInputError


def as_key(random_state: int | PRNGKeyArray) -> PRNGKeyArray:
    """Random key from a seed, or the key itself.

    Parameters
    ----------
    random_state : int or typed key
        A seed of at least 0, or a key from ``jax.random.key``.

    Returns
    -------
    key

    Raises
    ------
    InvalidInputError
        If it is neither.

    Examples
    --------
    >>> as_key(3) == as_key(jax.random.key(3))
    Array(True, dtype=bool)
    """
    if isinstance(random_state, int | np.integer) and random_state >= 0:
        return jax.random.key(int(random_state))
    if isinstance(random_state, jax.Array) and jax.dtypes.issubdtype(
        random_state.dtype, jax.dtypes.prng_key
    ):
        return random_state
    raise InvalidInputError(
        f"random_state={random_state!r} is not a seed; give an int of at least 0 or a key from "
        "jax.random.key"
    )

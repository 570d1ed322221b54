"""Which of BDH's synapses grow for a concept, and for nothing else."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh.model import BDH
from onehotglm.networks.bdh.synapses import tokens_of
from onehotglm.random_state import RandomState, numpy_generator


def synapse_selectivity(
    model: BDH,
    text: str | bytes | np.ndarray,
    labels: np.ndarray,
    *,
    level: int,
    head: int,
    others: np.ndarray | None = None,
    n_shuffles: int = 100,
    random_state: RandomState = 0,
) -> xr.Dataset:
    """How much more each synapse of a head grows at the tokens of a concept.

    For each synapse Welch's t compares its growth at the labelled tokens with that at
    others.  A synapse for the concept grows there: shrinking counts as no growth, so that
    those which only shrink less than elsewhere are not selective.  The largest t of all
    synapses is compared with that under labels shifted along the text by random amounts,
    which keeps how they cluster.

    Parameters
    ----------
    model : BDH
        The network that reads.
    text : str, bytes or int array, shape (time,)
        What it reads.
    labels : bool array, shape (time,)
        Tokens of the concept; see `mark_concept`.
    level, head : int
        Which synapses.
    others : bool array, shape (time,), optional
        Tokens to compare with, for instance those of `mark_last_letter`: is a synapse
        for the word, or for its last letter?  Default: all that are not labelled.
    n_shuffles : int
        Number of shifted labels; `others` are shifted along.
    random_state : int, key or numpy Generator
        Seed of the shifts.

    Returns
    -------
    Dataset
        ``selectivity`` (post, pre): Welch's t of the growth above zero; zero for synapses
        that grow at none of these tokens, and instead of a positive t for those that do
        not grow at the concept on balance.
        ``shuffled_maximum`` (shuffle): the largest t under each shift.  ``p_value``:
        share of shifts, and the labels themselves, with so large a maximum.
        ``best_post`` and ``best_pre``: the most selective synapse; any of them where no
        selectivity is above 0.

    Raises
    ------
    InvalidInputError
        If level, head or labels do not fit, or fewer than two tokens are labelled or
        to be compared with; if the text is empty or holds unknown tokens.

    Examples
    --------
    >>> from onehotglm.networks.bdh import make_bdh, mark_concept, mark_last_letter
    >>> text = "the cat saw the rat; the cat sat"
    >>> found = synapse_selectivity(
    ...     make_bdh(4, n_neurons=16, n_heads=2, n_levels=2), text, mark_concept(text, "cat"),
    ...     level=1, head=0, others=mark_last_letter(text, "cat"), n_shuffles=9)
    >>> found["selectivity"].shape
    (8, 8)
    """
    tokens, labels = tokens_of(model, text), np.asarray(labels, bool)
    others = ~labels if others is None else np.asarray(others, bool)
    _check_labels(labels, others, tokens)
    n_levels, n_heads = model.core.n_levels, len(model.core.decoder)
    if not (0 <= level < n_levels and 0 <= head < n_heads):
        raise InvalidInputError(
            f"level={level}, head={head}; the network has {n_levels} levels and {n_heads} heads, "
            "counted from 0"
        )
    if n_shuffles < 0:
        raise InvalidInputError(f"n_shuffles={n_shuffles}, but it must be at least 0")
    factors = _hebbian_factors(model, jnp.asarray(tokens, jnp.int32), level, head)

    def t_of(shift: int) -> np.ndarray:
        shifted = (jnp.asarray(np.roll(marks, shift)) for marks in (labels, others))
        return np.asarray(_welch(*factors, *shifted))

    found = t_of(0)
    shifts = numpy_generator(random_state).integers(1, len(labels), size=n_shuffles)
    largest = np.array([t_of(shift).max() for shift in shifts])
    post, pre = np.unravel_index(found.argmax(), found.shape)
    neurons = np.arange(len(found))
    return xr.Dataset(
        {
            "selectivity": (("post", "pre"), found),
            "shuffled_maximum": ("shuffle", largest),
            "p_value": (1 + (largest >= found.max()).sum()) / (1 + n_shuffles),
            "best_post": int(post),
            "best_pre": int(pre),
        },
        coords={"post": neurons, "pre": neurons},
        attrs={"level": level, "head": head},
    )


def _check_labels(labels: np.ndarray, others: np.ndarray, tokens: np.ndarray) -> None:
    for name, marks in {"labels": labels, "others": others}.items():
        if marks.shape != tokens.shape:
            raise InvalidInputError(
                f"{name} have shape {marks.shape}, expected {tokens.shape}: one per token"
            )
    if (labels & others).any():
        raise InvalidInputError(
            f"{(labels & others).sum()} tokens are both labelled and among the others; expected "
            "each to be one or none of them"
        )
    if min(labels.sum(), others.sum()) < 2:
        raise InvalidInputError(
            f"{labels.sum()} of {len(labels)} tokens are labelled, {others.sum()} are to be "
            "compared with; expected at least two of each: read a longer text"
        )


@eqx.filter_jit
def _hebbian_factors(
    model: BDH, tokens: Int[Array, " time"], level: int, head: int
) -> tuple[Float[Array, "time post"], Float[Array, "time pre"]]:
    features, neurons = model.activity(tokens[None])
    return features[level, 0] @ model.core.encoder_y[head], neurons.x[level, head, 0]


@eqx.filter_jit
def _welch(
    drive: Float[Array, "time post"],
    activity: Float[Array, "time pre"],
    labels: Array,
    others: Array,
) -> Float[Array, "post pre"]:
    """Welch's t of all growths ``relu(drive[:, j]) activity[:, i]`` between two sets of tokens.

    Zero instead of above zero where the changes at the first set, with their sign, do not
    sum to more than zero.
    """
    rising = jax.nn.relu(drive)  # activities are positive: this is the growth above zero

    def moments(chosen: Array) -> tuple[Array, Array, Array]:
        n = chosen.sum()
        mean = (rising * chosen[:, None]).T @ activity / n
        square = (rising**2 * chosen[:, None]).T @ activity**2 / n
        # A synapse that grows by one amount each time has a variance of rounding.
        rounding = jnp.finfo(drive.dtype).eps * square
        return n, mean, jnp.maximum(square - mean**2, rounding) * n / (n - 1)

    labels, others = labels.astype(drive.dtype), others.astype(drive.dtype)
    n_in, mean_in, variance_in = moments(labels)
    n_out, mean_out, variance_out = moments(others)
    error = jnp.sqrt(variance_in / n_in + variance_out / n_out)
    t = jnp.where(error > 0, (mean_in - mean_out) / jnp.where(error > 0, error, 1), 0)
    grows = (drive * labels[:, None]).T @ activity > 0
    return jnp.where(grows, t, jnp.minimum(t, 0))

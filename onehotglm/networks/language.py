"""Models of text, byte by byte: what they promise, how they are trained, how they write.

Every model has two forms of the same function.  `LanguageModel.logits` looks at whole
sequences at once, for training; `LanguageModel.step` takes one token at a time and
carries a state, for writing.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.checks import check_sizes
from onehotglm.networks.shared_batch import SharedBatch
from onehotglm.networks.text import Text
from onehotglm.networks.training import Metrics
from onehotglm.random_state import as_key

__all__ = [
    "LanguageModel",
    "TextObjective",
    "cross_entropy",
    "draw_token",
    "generate",
    "text_loss",
]


class LanguageModel(eqx.Module):
    """Predicts the next token of a sequence.

    A subclass has a static or array attribute for each of its sizes; tokens are
    integers from 0 to ``n_tokens - 1``.
    """

    @property
    @abstractmethod
    def n_tokens(self) -> int:
        """Size of the vocabulary."""

    @abstractmethod
    def logits(self, tokens: Int[Array, "batch time"]) -> Float[Array, "batch time token"]:
        """Unnormalised log-probabilities of the token after each one, all at once.

        Parameters
        ----------
        tokens : int array, shape (batch, time)
            A text.

        Returns
        -------
        array, shape (batch, time, token)
        """

    @abstractmethod
    def initial_state(self, batch_size: int, max_length: int) -> Any:
        """State before the first token.

        Parameters
        ----------
        batch_size : int
            Number of texts.
        max_length : int
            Most tokens that will be read.

        Returns
        -------
        pytree of arrays
        """

    @abstractmethod
    def step(
        self, state: Any, tokens: Int[Array, " batch"]
    ) -> tuple[Any, Float[Array, "batch token"]]:
        """State after one more token, and the logits of the next one.

        Parameters
        ----------
        state : pytree of arrays
            From `initial_state` or the last step.
        tokens : int array, shape (batch,)
            One token of each text.

        Returns
        -------
        state : pytree of arrays
            After this token.
        logits : array, shape (batch, token)
            Of the next token.
        """


def cross_entropy(
    model: LanguageModel, windows: Int[Array, "batch time"], scored: Bool[Array, "batch time"]
) -> Float[Array, ""]:
    """Mean cross-entropy of the scored tokens, nats per token.

    Parameters
    ----------
    model : LanguageModel
        Any of them.
    windows : int array, shape (batch, time)
        Sequences; the first token of each is read only.
    scored : bool array, shape (batch, time)
        Which tokens count.

    Returns
    -------
    array, shape ()
    """
    total, n_scored = _cross_entropy_sum(model, windows, scored)
    return total / jnp.maximum(n_scored, 1)


def _cross_entropy_sum(
    model: LanguageModel, windows: Array, scored: Array
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    logits = model.logits(windows[:, :-1])
    following, counted = windows[:, 1:], scored[:, 1:]
    chosen = jnp.take_along_axis(logits, following[..., None], axis=-1)[..., 0]
    loss = jax.nn.logsumexp(logits, axis=-1) - chosen
    return jnp.where(counted, loss, 0).sum(), counted.sum()


@dataclass(frozen=True)
class TextObjective(SharedBatch):
    """Cross-entropy of random windows of a text; an objective of `training.train`.

    Its data are the three arrays of a `Text`.

    Parameters
    ----------
    window : int
        Tokens that are predicted per window.
    batch_size : int
        Windows per step.
    shared : bool
        Whether this is one device's part of a batch, as `share` makes it.

    Raises
    ------
    InvalidInputError
        If a size is below 1.
    """

    window: int
    batch_size: int
    shared: bool = False

    def __post_init__(self) -> None:
        check_sizes(window=self.window, batch_size=self.batch_size)

    def __call__(
        self,
        model: LanguageModel,
        key: PRNGKeyArray,
        tokens: Int[Array, " place"],
        scored: Bool[Array, " place"],
        starts: Int[Array, " start"],
    ) -> tuple[Array, Metrics]:
        """Loss of one batch of windows."""
        start = jax.random.choice(self.key_of_device(key), starts, (self.batch_size,))
        places = start[:, None] + jnp.arange(self.window + 1)
        places = jnp.minimum(places, len(tokens) - 1)
        inside = start[:, None] + jnp.arange(self.window + 1) < len(tokens)
        windows = tokens[places].astype(jnp.int32)
        return cross_entropy(model, windows, scored[places] & inside), {}


def text_loss(model: LanguageModel, text: Text, window: int, batch_size: int = 16) -> float:
    """Cross-entropy of a whole text, cut into windows that do not overlap.

    Parameters
    ----------
    model : LanguageModel
        Any of them.
    text : Text
        Held-out text.
    window : int
        Tokens that are predicted per window; the model reads nothing before it.
    batch_size : int
        Windows at once.

    Returns
    -------
    float
        Nats per scored token.

    Raises
    ------
    InvalidInputError
        If the text is shorter than two tokens, none of them is scored, or the model does not
        know one; or a size is below 1.
    """
    check_sizes(window=window, batch_size=batch_size)
    n_windows = -(-(len(text.tokens) - 1) // window)
    if n_windows < 1:
        raise InvalidInputError(
            f"the text has {len(text.tokens)} tokens, expected at least 2; give a longer one"
        )
    if not text.scored[1:].any():
        raise InvalidInputError("no token of the text is scored, so that it has no loss")
    check_tokens(text.tokens, model.n_tokens, "the text")
    n_batches = -(-n_windows // batch_size)
    places = np.arange(n_batches * batch_size)[:, None] * window + np.arange(window + 1)
    inside = places < len(text.tokens)
    places = np.minimum(places, len(text.tokens) - 1)
    total, n_scored = 0.0, 0
    for batch in range(n_batches):
        rows = slice(batch * batch_size, (batch + 1) * batch_size)
        windows = jnp.asarray(text.tokens[places[rows]], jnp.int32)
        counted = jnp.asarray(text.scored[places[rows]] & inside[rows])
        loss, number = _compiled_sum(model, windows, counted)
        total += float(loss)
        n_scored += int(number)
    return total / n_scored


_compiled_sum = eqx.filter_jit(_cross_entropy_sum)


def generate(
    model: LanguageModel,
    prompt: Int[Array, "batch time"] | np.ndarray | bytes | str,
    n_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    random_state: int | PRNGKeyArray = 0,
) -> np.ndarray:
    """Write on, token by token, in one compiled loop.

    Parameters
    ----------
    model : LanguageModel
        Any of them.
    prompt : int array, shape (batch, time), bytes or str
        What to go on from, at least one token; text is taken as bytes of UTF-8, one
        sequence.
    n_tokens : int
        How many tokens to write.
    temperature : float
        Logits are divided by it; 0 takes the most likely token.
    top_k : int, optional
        Draw from the k most likely tokens only.
    random_state : int or key
        Seed.

    Returns
    -------
    int array, shape (batch, n_tokens)
        ``bytes(result[0].astype("uint8"))`` is the text of the first sequence.

    Raises
    ------
    InvalidInputError
        If the prompt is empty or holds unknown tokens, an option is out of range, or both
        texts together are longer than the model can read.

    Examples
    --------
    >>> from onehotglm.networks.bdh import make_bdh
    >>> model = make_bdh(8, n_neurons=8, n_heads=1, n_levels=1)
    >>> generate(model, "a", 3, temperature=0.8, top_k=5).shape
    (1, 3)
    """
    if isinstance(prompt, str):
        prompt = prompt.encode()
    if isinstance(prompt, bytes):
        prompt = np.frombuffer(prompt, np.uint8)[None]
    prompt = np.asarray(prompt)
    if prompt.ndim != 2 or not prompt.size:
        raise InvalidInputError(
            f"the prompt has shape {prompt.shape}, expected (batch, time) with at least one token"
        )
    check_tokens(prompt, model.n_tokens, "the prompt")
    check_sizes(n_tokens=n_tokens)
    if not 0 <= temperature < np.inf:
        raise InvalidInputError(f"temperature={temperature}, expected a number of at least 0")
    if top_k is not None:
        check_sizes(top_k=top_k)
        if top_k > model.n_tokens:
            raise InvalidInputError(
                f"top_k={top_k}, expected 1 to {model.n_tokens}, or None for all tokens"
            )
    written = _write(
        model,
        jnp.asarray(prompt, jnp.int32),
        as_key(random_state),
        jnp.asarray(temperature, jnp.float32),
        n_tokens,
        top_k,
    )
    return np.asarray(written)


def check_tokens(tokens: np.ndarray, n_tokens: int, what: str) -> None:
    """Raise unless all tokens are whole numbers that a model knows.

    Parameters
    ----------
    tokens : ndarray
        At least one.
    n_tokens : int
        Size of the model's vocabulary.
    what : str
        What holds them, for the message.

    Raises
    ------
    InvalidInputError
    """
    if not np.issubdtype(tokens.dtype, np.integer):
        raise InvalidInputError(f"{what} is of type {tokens.dtype}, expected integers or bytes")
    if tokens.min() < 0 or tokens.max() >= n_tokens:
        raise InvalidInputError(
            f"{what} holds tokens from {tokens.min()} to {tokens.max()}, the model knows 0 to "
            f"{n_tokens - 1}: give another text, or a model with a larger n_tokens"
        )


def draw_token(
    logits: Float[Array, "batch token"],
    key: PRNGKeyArray,
    temperature: Float[Array, ""],
    top_k: int | None = None,
) -> Int[Array, " batch"]:
    """Draw the next token of each sequence.

    Parameters
    ----------
    logits : array, shape (batch, token)
        Unnormalised log-probabilities.
    key : key
        Source of randomness.
    temperature : array, shape ()
        Logits are divided by it; 0 takes the most likely token.
    top_k : int, optional
        Draw from the k most likely tokens only; of equally likely ones the first.

    Returns
    -------
    int array, shape (batch,)
    """
    if top_k is not None:
        logits, tokens = jax.lax.top_k(logits, top_k)
    scaled = logits / jnp.where(temperature > 0, temperature, 1)
    drawn = jax.random.categorical(key, scaled)
    drawn = jnp.where(temperature > 0, drawn, logits.argmax(axis=-1)).astype(jnp.int32)
    return drawn if top_k is None else jnp.take_along_axis(tokens, drawn[:, None], axis=-1)[:, 0]


@eqx.filter_jit
def _write(
    model: LanguageModel,
    prompt: Int[Array, "batch time"],
    key: PRNGKeyArray,
    temperature: Float[Array, ""],
    n_tokens: int,
    top_k: int | None,
) -> Int[Array, "batch time"]:
    batch_size, n_read = prompt.shape
    state = model.initial_state(batch_size, n_read + n_tokens - 1)  # the last one is not read

    def read(state: Any, tokens: Array) -> tuple[Any, None]:
        return model.step(state, tokens)[0], None

    def write(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, Array]:
        state, tokens = carry
        state, logits = model.step(state, tokens)
        tokens = draw_token(logits, key, temperature, top_k)
        return (state, tokens), tokens

    state, _ = jax.lax.scan(read, state, prompt.T[:-1])
    keys = jax.random.split(key, n_tokens)
    _, written = jax.lax.scan(write, (state, prompt[:, -1]), keys)
    return written.T

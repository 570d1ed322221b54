"""BDH as a generator: its sparse positive activity fires, its neuron graph is the wiring."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.base import Generator
from onehotglm.networks.bdh.core import BDHCore
from onehotglm.networks.bdh.graph import neuron_graph
from onehotglm.networks.bdh.model import BDH, make_bdh
from onehotglm.networks.layers import layer_norm
from onehotglm.networks.text import running_text
from onehotglm.random_state import as_key, numpy_generator

FEEDBACK = ("spikes", "activity")
N_PILOT_TOKENS = 200
DEFAULT_SCALE = 10.0
"""Of the default network's weights over freshly made ones, whose neurons hardly interact."""


class BDHGenerator(Generator):
    """Spikes of BDH's neurons while it reads.

    One time bin is one level: every token takes as many bins as the network has levels.
    The output ``z = xs ys`` of each neuron, which is positive and sparse, is its rate,
    and what it sends along the edges of `neuron_graph` moves the activity of other
    neurons in the next bin; with the next token the features start anew, while the
    synapses stay.

    Parameters
    ----------
    model : BDH, optional
        The network; by default a random one with 32 neurons.
    bin_size : float
        Seconds.
    mean_rate : float
        Mean over neurons of the rate in Hz, which sets the gain from z to rates.
    feedback : {"spikes", "activity"}
        What the edges carry: the spikes, divided by the gain, so that the wiring acts
        through what is recorded; or z itself, of which the spikes are then noisy
        readings (the network as it was trained).
    text : bytes or str, optional
        What it reads: every session from another place of it, and from its beginning again
        where it ends.  By default tokens are random, of the model's whole vocabulary.

    Attributes
    ----------
    gain : float
        Expected count per bin and unit of z.
    connectivity : DataArray, dims (post, pre)
        E D_x.

    Raises
    ------
    InvalidInputError
        If the network is silent, a parameter is out of range, or the text is too short or holds
        bytes that the network does not know.

    Examples
    --------
    >>> generator = BDHGenerator(mean_rate=5.0)
    >>> generator.connectivity.shape
    (32, 32)
    """

    def __init__(
        self,
        model: BDH | None = None,
        *,
        bin_size: float = 0.02,
        mean_rate: float = 10.0,
        feedback: str = "spikes",
        text: bytes | str | None = None,
    ) -> None:
        if model is None:
            random = make_bdh(16, n_neurons=32, n_heads=2, n_levels=4)
            model = jax.tree.map(lambda weights: DEFAULT_SCALE * weights, random)
        self.model = model
        self.bin_size = bin_size
        self.mean_rate = mean_rate
        self.feedback = feedback
        self.text = text
        if feedback not in FEEDBACK:
            raise InvalidInputError(
                f"feedback={feedback!r} is unknown; choose one of {', '.join(FEEDBACK)}"
            )
        if not (bin_size > 0 and mean_rate > 0):
            raise InvalidInputError(
                f"bin_size={bin_size} and mean_rate={mean_rate} must be above 0"
            )
        tokens = self._draw_tokens(np.random.default_rng(0), 1, N_PILOT_TOKENS)
        mean_output = float(_mean_output(model, jnp.asarray(tokens)))
        if mean_output == 0:
            raise InvalidInputError(
                "no neuron is ever active while the network reads; give one with other weights"
            )
        self.gain = mean_rate * bin_size / mean_output
        self.connectivity = neuron_graph(model)

    def _draw_tokens(
        self, rng: np.random.Generator, n_sessions: int, n_tokens: int
    ) -> Int[np.ndarray, "session token"]:
        n_known = self.model.n_tokens
        if self.text is None:
            return rng.integers(n_known, size=(n_sessions, n_tokens))
        text = running_text(self.text).tokens.astype(int)
        if text.max() >= n_known:
            raise InvalidInputError(
                f"the text has the byte {text.max()}, but the network knows {n_known} tokens; "
                "expected a text of these"
            )
        start = rng.integers(len(text), size=(n_sessions, 1))
        return text[(start + np.arange(n_tokens)) % len(text)]

    def sample(
        self,
        n_sessions: int = 1,
        n_time_bins: int = 1000,
        random_state: int | PRNGKeyArray = 0,
    ) -> xr.Dataset:
        """Sample spikes while tokens are read, each session from empty synapses.

        Parameters
        ----------
        n_sessions, n_time_bins : int
            Size of the sample.
        random_state : int or key
            Seed.

        Returns
        -------
        Dataset
            ``spikes`` (session, time, neuron; counts), ``rates`` (session, time,
            neuron; Hz), ``connectivity`` (post, pre), and the ``token`` and ``level``
            of each bin (session, time) and (time).
        """
        if n_sessions < 1 or n_time_bins < 1:
            raise InvalidInputError(
                f"n_sessions={n_sessions} and n_time_bins={n_time_bins} must be at least 1"
            )
        n_levels = self.model.core.n_levels
        for_tokens, for_counts = jax.random.split(as_key(random_state))
        tokens = self._draw_tokens(
            numpy_generator(for_tokens), n_sessions, -(-n_time_bins // n_levels)
        )
        counts, rates = _fire(
            self.model,
            jnp.asarray(self.gain, jnp.float32),
            for_counts,
            self.feedback == "spikes",
            jnp.asarray(tokens.T),
        )
        dims = ("session", "time", "neuron")
        token = np.repeat(tokens, n_levels, axis=1)[:, :n_time_bins]
        about_counts = {"bin_size": self.bin_size, "units": "counts"}
        return xr.Dataset(
            {
                "spikes": (dims, np.asarray(counts)[:, :n_time_bins], about_counts),
                "rates": (
                    dims,
                    np.asarray(rates)[:, :n_time_bins] / self.bin_size,
                    {"units": "Hz"},
                ),
                "connectivity": self.connectivity,
                "token": (dims[:2], token),
                "level": ("time", np.arange(n_time_bins) % n_levels),
            },
            coords={
                "session": np.arange(n_sessions),
                "time": ("time", np.arange(n_time_bins) * self.bin_size, {"units": "s"}),
                "neuron": self.connectivity["post"].values,
            },
            attrs={"bin_size": self.bin_size},
        )


@eqx.filter_jit
def _mean_output(model: BDH, tokens: Array) -> Float[Array, ""]:
    _, neurons = model.activity(tokens)
    return (neurons.x * neurons.y).mean()


@eqx.filter_jit
def _fire(
    model: BDH,
    gain: Float[Array, ""],
    key: PRNGKeyArray,
    spikes_feed_back: bool,
    tokens: Int[Array, "token session"],
) -> tuple[Array, Array]:
    """Draw counts, and give their rates; both (session, bin, neuron)."""
    core: BDHCore = model.core
    n_tokens, n_sessions = tokens.shape

    def read(state: tuple[Array, Array], inputs: tuple[Array, Array]) -> tuple:
        token, key = inputs

        def level(x: Array, inputs: tuple[Array, Array]) -> tuple[Array, tuple]:
            synapses, key = inputs
            z, synapses = core.output(x, synapses, state[1])
            rates = gain * z
            counts = jax.random.poisson(key, rates).astype(z.dtype)
            x = core.receive(x, counts / gain if spikes_feed_back else z)
            by_session = [jnp.moveaxis(a, 1, 0).reshape(n_sessions, -1) for a in (counts, rates)]
            return x, (synapses, *by_session)

        x = layer_norm(model.embedding)[token]
        keys = jax.random.split(key, core.n_levels)
        _, (synapses, counts, rates) = jax.lax.scan(level, x, (state[0], keys))
        return (synapses, state[1] + 1), (counts, rates)

    keys = jax.random.split(key, n_tokens)
    start = core.initial_state(n_sessions)
    recorded: tuple[Array, Array]
    _, recorded = jax.lax.scan(read, (start.synapses, start.position), (tokens, keys))

    def in_order(values: Array) -> Array:
        joined = values.reshape(-1, *values.shape[2:])  # (token, level) to bins
        return joined.swapaxes(0, 1)

    return in_order(recorded[0]), in_order(recorded[1])

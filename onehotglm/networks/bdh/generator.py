"""BDH as a generator: its sparse positive activity fires, its neuron graph is the wiring."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.base import Generator
from onehotglm.networks.bdh.core import BDHCore
from onehotglm.networks.bdh.graph import neuron_graph
from onehotglm.networks.bdh.model import BDH, make_bdh
from onehotglm.networks.keys import as_key
from onehotglm.networks.layers import layer_norm

FEEDBACK = ("spikes", "activity")
N_PILOT_TOKENS = 200
DEFAULT_SCALE = 10.0
"""Of the default network's weights over freshly made ones, whose neurons hardly interact."""


class BDHGenerator(Generator):
    """Spikes of BDH's neurons while it reads random tokens.

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

    Attributes
    ----------
    gain : float
        Expected count per bin and unit of z.
    connectivity : DataArray, dims (post, pre)
        E D_x.

    Raises
    ------
    InvalidInputError
        If the network is silent, or a parameter is out of range.

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
    ) -> None:
        if model is None:
            random = make_bdh(16, n_neurons=32, n_heads=2, n_levels=4)
            model = jax.tree.map(lambda weights: DEFAULT_SCALE * weights, random)
        self.model = model
        self.bin_size = bin_size
        self.mean_rate = mean_rate
        self.feedback = feedback
        if feedback not in FEEDBACK:
            raise InvalidInputError(
                f"feedback={feedback!r} is unknown; choose one of {', '.join(FEEDBACK)}"
            )
        if not (bin_size > 0 and mean_rate > 0):
            raise InvalidInputError(
                f"bin_size={bin_size} and mean_rate={mean_rate} must be above 0"
            )
        tokens = np.random.default_rng(0).integers(model.n_tokens, size=(1, N_PILOT_TOKENS))
        mean_output = float(_mean_output(model, jnp.asarray(tokens)))
        if mean_output == 0:
            raise InvalidInputError(
                "no neuron is ever active under random tokens; give a network with other weights"
            )
        self.gain = mean_rate * bin_size / mean_output
        self.connectivity = neuron_graph(model)

    def sample(
        self,
        n_sessions: int = 1,
        n_time_bins: int = 1000,
        random_state: int | PRNGKeyArray = 0,
    ) -> xr.Dataset:
        """Sample spikes under random tokens, each session from empty synapses.

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
        tokens, counts, rates = _fire(
            self.model,
            jnp.asarray(self.gain, jnp.float32),
            as_key(random_state),
            self.feedback == "spikes",
            n_sessions,
            -(-n_time_bins // n_levels),
        )
        dims = ("session", "time", "neuron")
        token = np.repeat(np.asarray(tokens), n_levels, axis=1)[:, :n_time_bins]
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
    n_sessions: int,
    n_tokens: int,
) -> tuple[Array, Array, Array]:
    """Tokens (session, token), counts and rates (session, bin, neuron)."""
    core: BDHCore = model.core
    for_tokens, for_counts = jax.random.split(key)
    tokens = jax.random.randint(for_tokens, (n_tokens, n_sessions), 0, model.n_tokens)

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

    keys = jax.random.split(for_counts, n_tokens)
    start = core.initial_state(n_sessions)
    recorded: tuple[Array, Array]
    _, recorded = jax.lax.scan(read, (start.synapses, start.position), (tokens, keys))

    def in_order(values: Array) -> Array:
        joined = values.reshape(-1, *values.shape[2:])  # (token, level) to bins
        return joined.swapaxes(0, 1)

    return tokens.T, in_order(recorded[0]), in_order(recorded[1])

"""The recurrent network as a generator: hidden neurons that spike."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.base import Generator
from onehotglm.networks.rnn.accuracy import drive_randomly
from onehotglm.networks.rnn.cell import LeakyCell, LeakyDynamics
from onehotglm.networks.rnn.network import RNN, make_rnn
from onehotglm.random_state import as_key

FEEDBACK = ("spikes", "activity")
N_PILOT_BINS = 1000


class RNNGenerator(Generator):
    """Spikes from a network of leaky neurons under random bits.

    Each hidden neuron is a neuron of the recording: its counts are Poisson with rates
    proportional to its rectified activity.

    Parameters
    ----------
    network : RNN, optional
        One layer of leaky neurons with one input channel; by default 20 random ones.
    bin_size : float
        Seconds.
    mean_rate : float
        Mean over neurons of the rate in Hz, which sets the gain from activity to
        rates.
    feedback : {"spikes", "activity"}
        What the recurrent weights carry: the spikes, divided by the gain, so that
        the wiring acts through what is recorded; or the activity itself, of which
        the spikes are then noisy readings (the network as it was trained).

    Attributes
    ----------
    gain : float
        Expected count per bin and unit of activity.
    connectivity : DataArray, dims (post, pre)
        The recurrent weights.

    Raises
    ------
    InvalidInputError
        If the network has several layers, gated cells or several inputs, is silent,
        or a parameter is out of range.

    Examples
    --------
    >>> sample = RNNGenerator(mean_rate=10.0).sample(n_sessions=2, n_time_bins=500)
    >>> sample["spikes"].dims, sample["connectivity"].dims
    (('session', 'time', 'neuron'), ('post', 'pre'))
    """

    def __init__(
        self,
        network: RNN | None = None,
        *,
        bin_size: float = 0.02,
        mean_rate: float = 10.0,
        feedback: str = "spikes",
    ) -> None:
        self.network = make_rnn(20) if network is None else network
        self.bin_size = bin_size
        self.mean_rate = mean_rate
        self.feedback = feedback
        self._layer = self._check()
        pilot = drive_randomly(self.network, N_PILOT_BINS, n_streams=4).activity
        mean_activity = float(np.maximum(pilot, 0).mean())
        if mean_activity == 0:
            raise InvalidInputError(
                "no neuron is ever active under random input; give a network with input weights "
                "or biases above 0"
            )
        self.gain = mean_rate * bin_size / mean_activity
        neurons = np.arange(self._layer.n_neurons)
        self.connectivity = xr.DataArray(
            np.asarray(self._layer.connectivity),
            dims=("post", "pre"),
            coords={"post": neurons, "pre": neurons},
        )

    def _check(self) -> LeakyCell:
        layer = self.network.layers[0]
        if len(self.network.layers) > 1 or not isinstance(layer, LeakyCell):
            raise InvalidInputError(
                f"the network has {len(self.network.layers)} layers of {type(layer).__name__}, "
                "expected one of LeakyCell; build it with make_rnn(..., cell='leaky')"
            )
        if layer.w_in.shape[1] != 1:
            raise InvalidInputError(
                f"the network has {layer.w_in.shape[1]} inputs, expected 1 for the random bits"
            )
        if self.feedback not in FEEDBACK:
            raise InvalidInputError(
                f"feedback={self.feedback!r} is unknown; choose one of {', '.join(FEEDBACK)}"
            )
        if not (self.bin_size > 0 and self.mean_rate > 0):
            raise InvalidInputError(
                f"bin_size={self.bin_size} and mean_rate={self.mean_rate} must be above 0"
            )
        return layer

    def sample(
        self,
        n_sessions: int = 1,
        n_time_bins: int = 1000,
        random_state: int | PRNGKeyArray = 0,
    ) -> xr.Dataset:
        """Sample spikes under random fair bits, each session from rest.

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
            neuron; Hz), ``connectivity`` (post, pre), ``tau`` (neuron; bins) and the
            ``inputs`` (session, time; bits).
        """
        if n_sessions < 1 or n_time_bins < 1:
            raise InvalidInputError(
                f"n_sessions={n_sessions} and n_time_bins={n_time_bins} must be at least 1"
            )
        bits, counts, rates = _spike(
            _without_recurrence(self._layer),
            jnp.asarray(self.gain),
            as_key(random_state),
            self.feedback == "spikes",
            n_sessions,
            n_time_bins,
        )
        dims = ("session", "time", "neuron")
        about_counts = {"bin_size": self.bin_size, "units": "counts"}
        return xr.Dataset(
            {
                "spikes": (dims, np.asarray(counts), about_counts),
                "rates": (dims, np.asarray(rates) / self.bin_size, {"units": "Hz"}),
                "connectivity": self.connectivity,
                "tau": ("neuron", np.asarray(self._layer.effective_tau), {"units": "bins"}),
                "inputs": (dims[:2], np.asarray(bits)),
            },
            coords={
                "session": np.arange(n_sessions),
                "time": ("time", np.arange(n_time_bins) * self.bin_size, {"units": "s"}),
                "neuron": self.connectivity["post"].values,
            },
            attrs={"bin_size": self.bin_size},
        )


def _without_recurrence(layer: LeakyCell) -> LeakyDynamics:
    """Map of one bin for which what other neurons send is one more input."""
    return eqx.tree_at(
        lambda cell: (cell.w_hh, cell.w_in),
        layer,
        (jnp.zeros_like(layer.w_hh), jnp.concatenate([layer.w_in, layer.connectivity], axis=1)),
    ).dynamics()


@eqx.filter_jit
def _spike(
    dynamics: LeakyDynamics,
    gain: Float[Array, ""],
    key: PRNGKeyArray,
    spikes_feed_back: bool,
    n_sessions: int,
    n_time_bins: int,
) -> tuple[Array, Array, Array]:
    for_bits, for_counts = jax.random.split(key)
    bits = jax.random.bernoulli(for_bits, shape=(n_time_bins, n_sessions)).astype(jnp.float32)
    silent = jnp.zeros((n_sessions, len(dynamics.bias)))

    def step(carry: tuple[Array, Array], inputs: tuple[Array, Array]) -> tuple:
        activity, counts = carry
        bit, key = inputs
        sent = counts / gain if spikes_feed_back else activity
        (activity,) = dynamics.step((activity,), jnp.concatenate([bit[:, None], sent], axis=1))
        rates = gain * jnp.maximum(activity, 0)
        counts = jax.random.poisson(key, rates).astype(jnp.float32)
        return (activity, counts), (counts, rates)

    keys = jax.random.split(for_counts, n_time_bins)
    recorded: tuple[Array, Array]
    _, recorded = jax.lax.scan(step, (silent, silent), (bits, keys))
    return bits.T, recorded[0].swapaxes(0, 1), recorded[1].swapaxes(0, 1)

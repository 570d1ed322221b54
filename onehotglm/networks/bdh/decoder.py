"""BDH as a decoder: its Hebbian synapses remember the recording's last bins."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh.core import BDHCore
from onehotglm.networks.bdh.model import check_pairs, make_core
from onehotglm.networks.checks import check_sizes
from onehotglm.networks.layers import layer_norm
from onehotglm.networks.network_decoder import NetworkDecoder
from onehotglm.networks.spike_predictor import FeaturePredictor, random_projections
from onehotglm.random_state import numpy_generator


class SpikeBDH(FeaturePredictor):
    """`FeaturePredictor` whose hidden activity is what leaves BDH's last level.

    The synapses of BDH never forget, and a network that has been trained on windows
    has not seen them fuller.  Long sessions are therefore read in windows of `memory`
    bins that begin every half of it; each bin takes its prediction from a window in
    which at least that half lies before it, or the session's beginning.

    Parameters
    ----------
    scale, w_out, b_out, link, w_in, b_in
        As in `FeaturePredictor`.
    core : BDHCore
        The levels.
    memory : int
        Bins of a window.
    """

    core: BDHCore
    memory: int = eqx.field(static=True)

    def hidden(
        self, inputs: Float[Array, "time batch neuron"]
    ) -> Float[Array, "time batch hidden"]:
        """Features after the last level."""
        x = layer_norm(self.features(inputs)).swapaxes(0, 1)
        n_batch, n_time, n_features = x.shape
        if n_time <= self.memory:
            return self.core(x).swapaxes(0, 1)
        hop = self.memory // 2
        n_windows = 1 + -(-(n_time - self.memory) // hop)
        places = hop * jnp.arange(n_windows)[:, None] + jnp.arange(self.memory)
        windows = x[:, jnp.minimum(places, n_time - 1)]
        found = self.core(windows.reshape(-1, self.memory, n_features))
        found = found.reshape(n_batch, n_windows, self.memory, n_features)
        later = found[:, 1:, self.memory - hop :].reshape(n_batch, -1, n_features)
        joined = jnp.concatenate([found[:, 0], later], axis=1)
        return joined[:, :n_time].swapaxes(0, 1)


class BDHDecoder(NetworkDecoder):
    """BDH fitted to spikes.

    Reads the counts bin by bin and predicts the Poisson rates of the next one.
    Trained with Adam on random windows; the state with the best log-likelihood on
    held-out sessions is kept.

    Parameters
    ----------
    n_features : int
        Width of what is handed from level to level.
    n_hidden : int
        BDH's own neurons, of all heads.
    n_heads : int
        Heads among which they are divided.
    n_levels : int
        How often the shared weights are applied.
    max_sessions : int
        `connectivity_` is taken on at most so many sessions, drawn at random: it costs
        more here than in other decoders.
    link : {"softplus", "exp", "sigmoid", "log1p_softplus", "sqrt_softplus"}
        From the readout to the rate in counts per bin.
    n_lags : int
        Past bins of `connectivity_`, at most half of `window`.
    learning_rate : float
        Step size of Adam.
    weight_decay : float
        Shrinkage of the weights.
    window : int
        Bins of a training window; shorter sessions shorten it.  Prediction reads
        between half and all of so many past bins.
    batch_size : int
        Windows per step.
    n_steps : int
        At most so many steps.
    patience : int
        The fit stops after so many looks, one every 50 steps, without a better
        held-out log-likelihood.
    validation_fraction : float
        Fraction of the sessions that is held out for that; with fewer than four
        sessions, this fraction of the bins at each one's end.
    random_state : int or key
        Seed of everything random.
    progress : bool
        Whether to show a progress bar.

    Attributes
    ----------
    network_ : SpikeBDH
        The fitted network.
    mean_rates_ : DataArray, dims (neuron,)
        Training mean rates, Hz.
    connectivity_ : DataArray, dims (post, pre)
        Mean Jacobian of the next rates by the spikes, summed over lags, Hz per spike.
    connectivity_error_ : DataArray, dims (post, pre)
        Its bootstrap standard error over sessions.
    connectivity_by_lag_ : DataArray, dims (lag, post, pre)
        The same for each lag.
    validation_path_ : ndarray, shape (look,)
        Held-out log-likelihood, nats per bin and neuron without ``log x!``.
    n_steps_ : int
        Steps taken.
    stop_reason_ : str
        ``"held-out score"`` or ``"n_steps"``.

    Examples
    --------
    >>> BDHDecoder(16, n_levels=3).get_params()["n_levels"]
    3
    """

    network_: SpikeBDH

    def __init__(
        self,
        n_features: int = 32,
        *,
        n_hidden: int = 256,
        n_heads: int = 2,
        n_levels: int = 2,
        max_sessions: int = 8,
        link: str = "softplus",
        n_lags: int = 10,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.03,
        window: int = 100,
        batch_size: int = 16,
        n_steps: int = 2000,
        patience: int = 8,
        validation_fraction: float = 0.15,
        random_state: int = 0,
        progress: bool = False,
    ) -> None:
        self.n_features = n_features
        self.n_hidden = n_hidden
        self.n_heads = n_heads
        self.n_levels = n_levels
        self.max_sessions = max_sessions
        self.link = link
        self.n_lags = n_lags
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.window = window
        self.batch_size = batch_size
        self.n_steps = n_steps
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def _check_parameters(self) -> None:
        super()._check_parameters()
        sizes = ("n_features", "n_heads", "n_levels", "max_sessions")
        check_sizes(**{name: getattr(self, name) for name in sizes})
        check_pairs("n_hidden", self.n_hidden, self.n_heads)
        if self.n_lags > self.window // 2:
            raise InvalidInputError(
                f"n_lags={self.n_lags} with window={self.window}: predictions read half a window "
                "back at least; expected no more lags than that"
            )

    def _take_connectivity(self, spikes: xr.DataArray, key: PRNGKeyArray) -> None:
        n_sessions = spikes.sizes["session"]
        chosen = numpy_generator(key).permutation(n_sessions)[: self.max_sessions]
        super()._take_connectivity(spikes.isel(session=np.sort(chosen)), key)

    def _network(self, key: PRNGKeyArray, mean_counts: np.ndarray, scale: np.ndarray) -> SpikeBDH:
        rng = numpy_generator(key)
        core = make_core(self.n_features, self.n_hidden, self.n_heads, self.n_levels, rng)
        fields = random_projections(rng, self.n_features, mean_counts, scale, self.link)
        return SpikeBDH(**fields, core=core, memory=self.window)

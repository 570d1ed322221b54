"""AstroSNN as a decoder: spiking units with astrocytes read the recording."""

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from onehotglm.networks.astrosnn.language import AstroBlocks, make_blocks
from onehotglm.networks.astrosnn.surrogate import check_surrogate
from onehotglm.networks.checks import check_sizes
from onehotglm.networks.layers import layer_norm
from onehotglm.networks.network_decoder import NetworkDecoder
from onehotglm.networks.spike_predictor import FeaturePredictor, random_projections
from onehotglm.random_state import numpy_generator


class SpikeAstro(FeaturePredictor):
    """`FeaturePredictor` whose hidden activity is the stream of `AstroBlocks`.

    Parameters
    ----------
    scale, w_out, b_out, link, w_in, b_in
        As in `FeaturePredictor`; the features are what the stream starts with.
    blocks : AstroBlocks
        The blocks.
    """

    blocks: AstroBlocks

    def hidden(
        self, inputs: Float[Array, "time batch neuron"]
    ) -> Float[Array, "time batch hidden"]:
        """Normalised stream after the last block."""
        return layer_norm(self.blocks(self.features(inputs)))


class AstroDecoder(NetworkDecoder):
    """Blocks of spiking units with astrocytes, fitted to spikes.

    Reads the counts bin by bin and predicts the Poisson rates of the next one.
    Trained with Adam on random windows; the state with the best log-likelihood on
    held-out sessions is kept.

    Parameters
    ----------
    n_features : int
        Width of the stream between blocks.
    n_hidden : int
        Units per block.
    n_blocks : int
        Blocks on top of each other.
    astrocyte, threshold_coupling, reset, surrogate
        As in `make_amsu`.  Without the reset, training is parallel over time.
    link : {"softplus", "exp", "sigmoid", "log1p_softplus", "sqrt_softplus"}
        From the readout to the rate in counts per bin.
    n_lags : int
        Past bins of `connectivity_`; prediction has no such limit.
    learning_rate : float
        Step size of Adam.
    weight_decay : float
        Shrinkage of the weights.
    window : int
        Bins of a training window; shorter sessions shorten it.
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
    network_ : SpikeAstro
        The fitted network.
    mean_rates_ : DataArray, dims (neuron,)
        Training mean rates, Hz.
    connectivity_ : DataArray, dims (post, pre)
        Mean Jacobian of the next rates by the spikes, summed over lags, Hz per spike.
        Hidden spikes are steps; their derivative is the surrogate slope.
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
    >>> AstroDecoder(16, astrocyte=False).get_params()["astrocyte"]
    False
    """

    network_: SpikeAstro

    def __init__(
        self,
        n_features: int = 32,
        *,
        n_hidden: int = 64,
        n_blocks: int = 1,
        astrocyte: bool = True,
        threshold_coupling: bool = True,
        reset: bool = False,
        surrogate: str = "arctan",
        link: str = "softplus",
        n_lags: int = 10,
        learning_rate: float = 1e-2,
        weight_decay: float = 0.0,
        window: int = 200,
        batch_size: int = 32,
        n_steps: int = 2000,
        patience: int = 8,
        validation_fraction: float = 0.15,
        random_state: int = 0,
        progress: bool = False,
    ) -> None:
        self.n_features = n_features
        self.n_hidden = n_hidden
        self.n_blocks = n_blocks
        self.astrocyte = astrocyte
        self.threshold_coupling = threshold_coupling
        self.reset = reset
        self.surrogate = surrogate
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
        sizes = ("n_features", "n_hidden", "n_blocks")
        check_sizes(**{name: getattr(self, name) for name in sizes})
        check_surrogate(self.surrogate)

    def _network(self, key: PRNGKeyArray, mean_counts: np.ndarray, scale: np.ndarray) -> SpikeAstro:
        rng = numpy_generator(key)
        options = {
            name: getattr(self, name)
            for name in ("astrocyte", "threshold_coupling", "reset", "surrogate")
        }
        blocks = make_blocks(self.n_features, self.n_hidden, self.n_blocks, rng, **options)
        fields = random_projections(rng, self.n_features, mean_counts, scale, self.link)
        return SpikeAstro(**fields, blocks=blocks)

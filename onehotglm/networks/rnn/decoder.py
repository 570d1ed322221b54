"""The recurrent network as a decoder: fitted to spikes, it predicts the next bin."""

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from onehotglm.networks.network_decoder import NetworkDecoder
from onehotglm.networks.rnn.spiking import SpikeRNN


class RNNDecoder(NetworkDecoder):
    """Recurrent network with trainable timescales, fitted to spikes.

    Reads the counts bin by bin and predicts the Poisson rates of the next one.
    Trained with Adam on random windows; the state with the best log-likelihood on
    held-out sessions is kept.

    Parameters
    ----------
    n_hidden : int
        Hidden neurons per layer.
    cell : {"leaky", "gru", "lstm"}
        Kind of hidden neurons, as in `make_rnn`.
    n_layers : int
        Layers on top of each other.
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
    network_ : SpikeRNN
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
    >>> from onehotglm.simulate import simulate_population
    >>> spikes = simulate_population(n_neurons=4, n_sessions=6, n_time_bins=200)["spikes"]
    >>> decoder = RNNDecoder(n_hidden=8, n_lags=2, n_steps=50).fit(spikes)
    >>> decoder.connectivity_.dims, decoder.predict_rates(spikes).shape
    (('post', 'pre'), (6, 200, 4))
    """

    def __init__(
        self,
        n_hidden: int = 64,
        *,
        cell: str = "leaky",
        n_layers: int = 1,
        link: str = "softplus",
        n_lags: int = 10,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.3,
        window: int = 200,
        batch_size: int = 32,
        n_steps: int = 3000,
        patience: int = 8,
        validation_fraction: float = 0.15,
        random_state: int = 0,
        progress: bool = False,
    ) -> None:
        self.n_hidden = n_hidden
        self.cell = cell
        self.n_layers = n_layers
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

    network_: SpikeRNN

    @property
    def n_parameters_(self) -> int:
        """Number of trained parameters; the layers' own heads are not used."""
        network = self.network_
        trained = (network.layers.layers, network.w_out, network.b_out)
        return sum(leaf.size for leaf in jax.tree.leaves(trained))

    def _network(self, key: PRNGKeyArray, mean_counts: np.ndarray, scale: np.ndarray) -> SpikeRNN:
        return SpikeRNN.init(
            key,
            mean_counts,
            scale,
            n_hidden=self.n_hidden,
            cell=self.cell,
            n_layers=self.n_layers,
            link=self.link,
        )

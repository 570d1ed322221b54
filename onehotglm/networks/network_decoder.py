"""What all decoders that are trained networks have in common."""

from abc import abstractmethod
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray
from sklearn.utils.validation import check_is_fitted

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.scoring import mean_rates, modelled
from onehotglm.kernels.emissions import LINKS
from onehotglm.networks.base import Decoder, check_spikes
from onehotglm.networks.checks import check_sizes
from onehotglm.networks.effective_connectivity import check_lags, effective_connectivity
from onehotglm.networks.layers import count_parameters
from onehotglm.networks.spike_predictor import (
    RatesInHz,
    SpikePredictor,
    WindowObjective,
    mean_log_likelihood,
    predict_counts,
)
from onehotglm.networks.training import (
    EarlyStopping,
    Optimiser,
    TrainingState,
    start_training,
    train,
)
from onehotglm.random_state import as_key


class NetworkDecoder(Decoder):
    """Decoder whose `SpikePredictor` is trained with Adam on random windows.

    The state with the best log-likelihood on held-out sessions is kept.  A subclass
    makes the network, and has these parameters beside its own.

    Attributes
    ----------
    network_ : SpikePredictor
        The fitted network.
    connectivity_error_ : DataArray, dims (post, pre)
        Bootstrap standard error of `connectivity_` over sessions.
    connectivity_by_lag_ : DataArray, dims (lag, post, pre)
        The same for each lag.
    validation_path_ : ndarray, shape (look,)
        Held-out log-likelihood, nats per bin and neuron without ``log x!``.
    n_steps_ : int
        Steps taken.
    stop_reason_ : str
        ``"held-out score"`` or ``"n_steps"``.
    """

    link: str
    n_lags: int
    learning_rate: float
    weight_decay: float
    window: int
    batch_size: int
    n_steps: int
    patience: int
    validation_fraction: float
    random_state: int | PRNGKeyArray
    progress: bool

    network_: SpikePredictor

    @abstractmethod
    def _network(
        self, key: PRNGKeyArray, mean_counts: np.ndarray, scale: np.ndarray
    ) -> SpikePredictor:
        """Make the random network to start training from.

        Parameters
        ----------
        key : key
            Source of randomness.
        mean_counts : ndarray, shape (neuron,)
            Counts per bin that it should predict at first.
        scale : ndarray, shape (neuron,)
            By which it should divide counts.
        """

    def fit(self, spikes: xr.DataArray, y: None = None) -> Self:
        """Train the network and take its connectivity.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Counts, NaN where missing; lead-in bins are read, not modelled.
        y : None
            Ignored; scikit-learn passes it.

        Returns
        -------
        NetworkDecoder
            The object itself.

        Raises
        ------
        InvalidInputError
            If the spikes or a parameter do not fit.
        """
        del y
        spikes = check_spikes(spikes)
        self._check_parameters()
        check_lags(spikes, self.n_lags)
        self.mean_rates_ = mean_rates(spikes)
        for_split, for_network, for_training, for_signs = jax.random.split(
            as_key(self.random_state), 4
        )
        counts, mask = _counts_and_mask(spikes)
        held_out = _held_out(mask, self.validation_fraction, for_split)
        optimiser = Optimiser("adam", self.learning_rate, 0.0, 1.0, self.weight_decay)
        state = start_training(self._fresh_network(spikes, for_network), optimiser, for_training)
        stopping = EarlyStopping(
            lambda network: mean_log_likelihood(network, counts, held_out), self.patience
        )
        run = train(
            state,
            WindowObjective(min(self.window, counts.shape[1]), self.batch_size),
            optimiser,
            (counts, mask & ~held_out),
            n_steps=self.n_steps,
            steps_per_call=min(50, self.n_steps),
            stop=stopping,
            progress=self.progress,
        )
        best: TrainingState = stopping.best_ or run.state
        self.network_ = best.model
        self.validation_path_ = np.array(stopping.scores_)
        self.n_steps_ = int(run.state.n_steps)
        self.stop_reason_ = run.stop_reason
        self._take_connectivity(spikes, for_signs)
        return self

    def predict_rates(self, spikes: xr.DataArray) -> xr.DataArray:
        """Rates of every bin given the bins before it.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Counts of the neurons of the fit; missing ones are read as 0.

        Returns
        -------
        DataArray, dims (session, time, neuron)
            Hz; without lead-in bins.

        Raises
        ------
        InvalidInputError
            If the spikes are of other neurons, or in other bins.
        """
        check_is_fitted(self)
        spikes = check_spikes(spikes, self.mean_rates_)
        counts, _ = _counts_and_mask(spikes)
        expected = np.asarray(predict_counts(self.network_, counts))
        rates = spikes.copy(data=expected / spikes.attrs["bin_size"])
        return modelled(rates).assign_attrs(units="Hz")

    @property
    def n_parameters_(self) -> int:
        """Number of trained parameters."""
        return count_parameters(self.network_) - self.network_.scale.size

    def _check_parameters(self) -> None:
        if self.link not in LINKS:
            raise InvalidInputError(
                f"link={self.link!r} is unknown; choose one of {', '.join(LINKS)}"
            )
        if not 0 < self.validation_fraction < 1:
            raise InvalidInputError(
                f"validation_fraction={self.validation_fraction}, expected a fraction between "
                "0 and 1"
            )
        sizes = ("n_lags", "window", "batch_size", "n_steps", "patience")
        check_sizes(**{name: getattr(self, name) for name in sizes})

    def _fresh_network(self, spikes: xr.DataArray, key: PRNGKeyArray) -> SpikePredictor:
        deviation = np.nan_to_num(spikes.std(("session", "time")).values)
        return self._network(
            key,
            self.mean_rates_.values * spikes.attrs["bin_size"],
            np.where(deviation > 0, deviation, 1.0),  # a silent neuron stays silent
        )

    def _take_connectivity(self, spikes: xr.DataArray, key: jax.Array) -> None:
        predict = RatesInHz(self.network_, float(spikes.attrs["bin_size"]))
        found = effective_connectivity(predict, spikes, n_lags=self.n_lags, random_state=key)
        self.connectivity_ = found["connectivity"]
        self.connectivity_error_ = found["connectivity_error"]
        self.connectivity_by_lag_ = found["connectivity_by_lag"]


def _counts_and_mask(spikes: xr.DataArray) -> tuple[jax.Array, jax.Array]:
    """Fill missing counts with 0, and say which entries are modelled."""
    values = np.asarray(spikes.values, np.float32)
    mask = np.isfinite(values)
    if "time" in spikes.coords:
        mask &= (spikes["time"].values >= 0)[:, None]
    return jnp.asarray(np.nan_to_num(values)), jnp.asarray(mask)


def _held_out(mask: jax.Array, fraction: float, key: jax.Array) -> jax.Array:
    """Entries that early stopping looks at: whole sessions, or the ends of a few."""
    n_sessions = len(mask)
    if n_sessions >= 4:
        n_held = max(1, round(fraction * n_sessions))
        if n_held == n_sessions:
            raise InvalidInputError(
                f"validation_fraction={fraction} of {n_sessions} sessions leaves none to train on; "
                "expected a smaller one"
            )
        chosen = jax.random.permutation(key, n_sessions)[:n_held]
        return mask & jnp.isin(jnp.arange(n_sessions), chosen)[:, None, None]
    passed = jnp.cumsum(mask.any(axis=2), axis=1)
    late = passed > (1 - fraction) * passed[:, -1:]
    return mask & late[:, :, None]

"""Networks that read spikes and predict the next bin's rates, and how they are trained."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from onehotglm.kernels.emissions import LINKS, predictor_at
from onehotglm.networks.training import Metrics

MIN_RATE = 1e-6
"""Rate that a prediction does not fall below, counts per bin; it keeps log finite."""


class SpikePredictor(eqx.Module):
    """Counts to rates, strictly causal: ``rate[t] = link(readout hidden[t])``.

    The hidden activity of bin t has read the counts up to bin t-1 and starts from rest.

    Parameters
    ----------
    scale : array, shape (neuron,)
        Counts are divided by it; not trained.
    w_out : array, shape (neuron, hidden)
        Readout weights.
    b_out : array, shape (neuron,)
        Readout biases.
    link : {"softplus", "exp", "sigmoid", "log1p_softplus", "sqrt_softplus"}
        Link of `onehotglm.kernels.emissions`.
    """

    scale: Float[Array, " neuron"]
    w_out: Float[Array, "neuron hidden"]
    b_out: Float[Array, " neuron"]
    link: str = eqx.field(static=True)

    @abstractmethod
    def hidden(
        self, inputs: Float[Array, "time batch neuron"]
    ) -> Float[Array, "time batch hidden"]:
        """Activity after each bin of scaled counts."""

    def rates(self, counts: Float[Array, "time batch neuron"]) -> Float[Array, "time batch neuron"]:
        """Predict the expected counts of each bin from the bins before it."""
        past = jnp.concatenate([jnp.zeros_like(counts[:1]), counts[:-1]])
        hidden = self.hidden(past / jax.lax.stop_gradient(self.scale))
        return LINKS[self.link].rate(hidden @ self.w_out.T + self.b_out) + MIN_RATE


class FeaturePredictor(SpikePredictor):
    """`SpikePredictor` that turns counts into features first.

    Parameters
    ----------
    scale, w_out, b_out, link
        As in `SpikePredictor`.
    w_in : array, shape (feature, neuron)
        From the scaled counts to the features.
    b_in : array, shape (feature,)
        Added to them.
    """

    w_in: Float[Array, "feature neuron"]
    b_in: Float[Array, " feature"]

    def features(self, inputs: Float[Array, "... neuron"]) -> Float[Array, "... feature"]:
        """Features of the scaled counts of each bin."""
        return inputs @ self.w_in.T + self.b_in


def random_projections(
    rng: np.random.Generator, n_features: int, mean_counts: np.ndarray, scale: np.ndarray, link: str
) -> dict[str, Any]:
    """Fields of a `FeaturePredictor` that predicts about the mean counts at first."""
    n_neurons = len(mean_counts)
    arrays = {
        "scale": scale,
        "w_out": 0.03 * rng.standard_normal((n_neurons, n_features)),
        "b_out": predictor_at(mean_counts, link),
        "w_in": rng.standard_normal((n_features, n_neurons)) / n_neurons**0.5,
        "b_in": 0.1 * rng.standard_normal(n_features),
    }
    return {"link": link, **{name: jnp.asarray(a, jnp.float32) for name, a in arrays.items()}}


class RatesInHz(eqx.Module):
    """A session's counts (time, neuron) to rates in Hz: what `effective_connectivity` takes."""

    network: SpikePredictor
    bin_size: float = eqx.field(static=True)

    def __call__(self, counts: Float[Array, "time neuron"]) -> Float[Array, "time neuron"]:
        """Rates of each bin given the bins before it."""
        return self.network.rates(counts[:, None])[:, 0] / self.bin_size


@jax.jit
def predict_counts(
    network: SpikePredictor, counts: Float[Array, "session time neuron"]
) -> Float[Array, "session time neuron"]:
    """Predict the expected counts of every bin of several sessions."""
    return network.rates(counts.swapaxes(0, 1)).swapaxes(0, 1)


@jax.jit
def mean_log_likelihood(
    network: SpikePredictor,
    counts: Float[Array, "session time neuron"],
    mask: Bool[Array, "session time neuron"],
) -> Float[Array, ""]:
    """Poisson log-likelihood per masked entry, nats, without ``log x!``."""
    rates = predict_counts(network, counts)
    terms = jnp.where(mask, counts * jnp.log(rates) - rates, 0)
    return terms.sum() / jnp.maximum(mask.sum(), 1)


@dataclass(frozen=True)
class WindowObjective:
    """Minus the log-likelihood of random windows of the training sessions.

    Parameters
    ----------
    window : int
        Bins per window; the network starts from zero at its first bin.
    batch_size : int
        Windows per step.
    """

    window: int
    batch_size: int

    def __call__(
        self,
        network: SpikePredictor,
        key: PRNGKeyArray,
        counts: Float[Array, "session time neuron"],
        mask: Bool[Array, "session time neuron"],
    ) -> tuple[Array, Metrics]:
        """Loss of one batch of windows."""
        for_session, for_start = jax.random.split(key)
        n_sessions, n_bins, n_neurons = counts.shape
        session = jax.random.randint(for_session, (self.batch_size,), 0, n_sessions)
        start = jax.random.randint(for_start, (self.batch_size,), 0, n_bins - self.window + 1)

        def cut(values: Array) -> Array:
            shape = (self.window, n_neurons)
            return jax.vmap(
                lambda i, t: jax.lax.dynamic_slice(values[i], (t, jnp.zeros_like(t)), shape)
            )(session, start)

        return -mean_log_likelihood(network, cut(counts), cut(mask)), {}

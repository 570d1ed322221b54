"""A recurrent network that reads spikes and predicts the next bin's rates."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from onehotglm.kernels.emissions import LINKS, predictor_at
from onehotglm.networks.rnn.cell import uniform
from onehotglm.networks.rnn.network import RNN, make_rnn
from onehotglm.networks.rnn.recurrence import run_all
from onehotglm.networks.training import Metrics

MIN_RATE = 1e-6
"""Rate that a prediction does not fall below, counts per bin; it keeps log finite."""


class SpikeRNN(eqx.Module):
    """Counts to rates, strictly causal: ``rate[t] = link(readout h[t])``.

    The layers' state h[t] has read the counts up to bin t-1 and starts from zero.

    Parameters
    ----------
    layers : RNN
        Layers over the counts of all neurons; its own heads are not used.
    scale : array, shape (neuron,)
        Counts are divided by it; not trained.
    w_out : array, shape (neuron, hidden)
        Readout weights.
    b_out : array, shape (neuron,)
        Readout biases.
    link : {"softplus", "exp", "sigmoid", "log1p_softplus", "sqrt_softplus"}
        Link of `onehotglm.kernels.emissions`.
    """

    layers: RNN
    scale: Float[Array, " neuron"]
    w_out: Float[Array, "neuron hidden"]
    b_out: Float[Array, " neuron"]
    link: str = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        key: PRNGKeyArray,
        mean_counts: np.ndarray,
        scale: np.ndarray,
        *,
        n_hidden: int,
        cell: str,
        n_layers: int,
        link: str,
    ) -> "SpikeRNN":
        """Random network that predicts about the mean counts."""
        for_layers, for_readout = jax.random.split(key)
        n_neurons = len(mean_counts)
        layers = make_rnn(
            n_hidden, cell=cell, n_layers=n_layers, n_inputs=n_neurons, random_state=for_layers
        )
        return cls(
            layers,
            jnp.asarray(scale, jnp.float32),
            0.1 * uniform(for_readout, (n_neurons, n_hidden), n_hidden),
            jnp.asarray(predictor_at(mean_counts, link), jnp.float32),
            link,
        )

    def rates(self, counts: Float[Array, "time batch neuron"]) -> Float[Array, "time batch neuron"]:
        """Predict the expected counts of each bin from the bins before it."""
        past = jnp.concatenate([jnp.zeros_like(counts[:1]), counts[:-1]])
        inputs = past / jax.lax.stop_gradient(self.scale)
        states = self.layers.initial_state(jax.random.key(0), counts.shape[1])
        states = jax.tree.map(jnp.zeros_like, states)
        _, hidden = run_all(self.layers.dynamics(), states, inputs)
        return LINKS[self.link].rate(hidden @ self.w_out.T + self.b_out) + MIN_RATE


class RatesInHz(eqx.Module):
    """A session's counts (time, neuron) to rates in Hz: what `effective_connectivity` takes."""

    network: SpikeRNN
    bin_size: float = eqx.field(static=True)

    def __call__(self, counts: Float[Array, "time neuron"]) -> Float[Array, "time neuron"]:
        """Rates of each bin given the bins before it."""
        return self.network.rates(counts[:, None])[:, 0] / self.bin_size


@jax.jit
def predict_counts(
    network: SpikeRNN, counts: Float[Array, "session time neuron"]
) -> Float[Array, "session time neuron"]:
    """Predict the expected counts of every bin of several sessions."""
    return network.rates(counts.swapaxes(0, 1)).swapaxes(0, 1)


@jax.jit
def mean_log_likelihood(
    network: SpikeRNN,
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
        network: SpikeRNN,
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

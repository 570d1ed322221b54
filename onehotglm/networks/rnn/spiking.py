"""A recurrent network that reads spikes and predicts the next bin's rates."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from onehotglm.kernels.emissions import predictor_at
from onehotglm.networks.rnn.cell import uniform
from onehotglm.networks.rnn.network import RNN, make_rnn
from onehotglm.networks.rnn.recurrence import run_all
from onehotglm.networks.spike_predictor import SpikePredictor


class SpikeRNN(SpikePredictor):
    """`SpikePredictor` whose hidden activity is that of a recurrent network.

    Parameters
    ----------
    scale, w_out, b_out, link
        As in `SpikePredictor`.
    layers : RNN
        Layers over the counts of all neurons; its own heads are not used.
    """

    layers: RNN

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
            scale=jnp.asarray(scale, jnp.float32),
            w_out=0.1 * uniform(for_readout, (n_neurons, n_hidden), n_hidden),
            b_out=jnp.asarray(predictor_at(mean_counts, link), jnp.float32),
            link=link,
            layers=layers,
        )

    def hidden(
        self, inputs: Float[Array, "time batch neuron"]
    ) -> Float[Array, "time batch hidden"]:
        """Activity of the top layer after each bin of scaled counts."""
        states = self.layers.initial_state(jax.random.key(0), inputs.shape[1])
        states = jax.tree.map(jnp.zeros_like, states)
        return run_all(self.layers.dynamics(), states, inputs)[1]

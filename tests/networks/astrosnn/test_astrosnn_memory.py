"""Networks that start with slow variables, and their equals without astrocytes."""

import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.networks.astrosnn import make_memory_network, size_without_astrocytes
from onehotglm.networks.layers import count_parameters

N_INPUTS = 10


def small_network(**options):
    settings = {"n_inputs": N_INPUTS, "n_heads": 2, "n_cue_spikes": 12.0}
    return make_memory_network(12, 40, **{**settings, **options})


def timescales(decay):
    return 1 + np.exp(np.asarray(decay))


def test_timescales_reach_the_delay():
    units = small_network().layers[0].units
    slow = timescales(units.astrocyte.decay)
    assert 4 <= slow.min() < slow.max() <= 80.001
    assert timescales(units.decay).max() <= 10.001
    assert timescales(small_network(slow_membranes=True).layers[0].units.decay).max() > 10
    one_head = small_network(n_heads=1).layers[0].units.astrocyte
    np.testing.assert_array_equal(one_head.decay, units.astrocyte.decay)
    chosen = small_network(calcium_timescales=(300.0, 400.0)).layers[0].units.astrocyte
    assert timescales(chosen.decay).min() >= 299.9


def test_a_cue_raises_calcium_by_about_one():
    for n_cue_spikes in (12.0, 120.0):
        astrocyte = small_network(n_cue_spikes=n_cue_spikes).layers[0].units.astrocyte
        inputs = jnp.zeros(N_INPUTS + 12).at[:N_INPUTS].set(1.0)
        per_spike = np.asarray(astrocyte.inflow(inputs)) / N_INPUTS
        assert (per_spike * n_cue_spikes).mean() == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("n_neurons", [3, 16, 33])
def test_sizes_have_as_many_parameters(n_neurons):
    network = make_memory_network(n_neurons, 20, n_inputs=5, n_heads=3)
    size = size_without_astrocytes(network)
    wanted = count_parameters(network)

    def distance(n):
        other = make_memory_network(n, 20, n_inputs=5, n_heads=3, astrocyte=False)
        return abs(count_parameters(other) - wanted)

    assert distance(size) <= min(distance(size - 1), distance(size + 1))
    assert size > n_neurons

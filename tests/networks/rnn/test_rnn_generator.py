import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.generator import RNNGenerator
from onehotglm.networks.rnn.network import make_rnn


def with_weights(n_neurons, w_hh, *, b_in=0.5, **options):
    network = make_rnn(n_neurons, **options)
    return eqx.tree_at(
        lambda n: (n.layers[0].w_hh, n.layers[0].b_in, n.layers[0].tau),
        network,
        (jnp.asarray(w_hh, jnp.float32), jnp.full(n_neurons, b_in), jnp.ones(n_neurons)),
    )


@pytest.mark.slow
def test_sample_keeps_the_promise():
    sample = RNNGenerator(bin_size=0.05).sample(3, 200)
    assert sample["spikes"].sizes == {"session": 3, "time": 200, "neuron": 20}
    assert sample["rates"].dims == sample["spikes"].dims
    assert sample["connectivity"].dims == ("post", "pre")
    assert sample.attrs["bin_size"] == sample["spikes"].attrs["bin_size"] == 0.05
    np.testing.assert_array_equal(np.diag(sample["connectivity"]), 0)


@pytest.mark.parametrize("feedback", ["spikes", "activity"])
def test_counts_are_poisson_with_the_rates(feedback):
    sample = RNNGenerator(mean_rate=20.0, feedback=feedback).sample(20, 500)
    expected = sample["rates"] * sample.attrs["bin_size"]
    assert float(sample["rates"].mean()) == pytest.approx(20, rel=0.25)
    surplus = (sample["spikes"] - expected).sum(("session", "time"))
    assert (abs(surplus) < 5 * np.sqrt(expected.sum(("session", "time"))) + 1e-6).all()


@pytest.mark.slow
def test_spikes_travel_along_the_wiring():
    # Neuron 0 excites neuron 1, and nothing else is connected.
    network = with_weights(3, [[0, 0, 0], [0.2, 0, 0], [0, 0, 0]])
    generator = RNNGenerator(network, mean_rate=5.0)
    sample = generator.sample(1, 4000)
    spikes, rates = sample["spikes"].values[0], sample["rates"].values[0]
    jump = 0.2 / generator.gain * generator.gain / generator.bin_size  # Hz per spike of 0
    base = rates[1:, 1] - jump * spikes[:-1, 0]
    bits = sample["inputs"].values[0][1:]
    for bit in (0, 1):
        active = base[bits == bit]
        assert active.max() - active.min() < 1e-2 * jump
    assert generator.connectivity.sel(post=1, pre=0) == pytest.approx(0.2)


@pytest.mark.slow
def test_activity_feeds_back_as_in_the_network():
    network = with_weights(3, [[0, 0, 0], [0.2, 0, 0], [0, 0, 0]])
    sample = RNNGenerator(network, feedback="activity").sample(1, 50)
    rates, bits = sample["rates"].values[0], sample["inputs"].values[0]
    # What neuron 1 fires depends on the last two bits and on no spike.
    pairs = bits[1:] + 2 * bits[:-1]
    for pair in range(4):
        assert np.ptp(rates[1:, 1][pairs == pair][1:]) < 1e-3


def test_mean_rate_sets_the_gain():
    low, high = RNNGenerator(mean_rate=5.0), RNNGenerator(mean_rate=10.0)
    assert high.gain == pytest.approx(2 * low.gain)


def test_seed_sets_the_sample():
    generator = RNNGenerator()
    first, again, other = (generator.sample(1, 100, seed)["spikes"] for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": make_rnn(3, n_layers=2)}, "2 layers of LeakyCell, expected one"),
        ({"network": make_rnn(3, cell="gru")}, "1 layers of GatedCell"),
        ({"network": make_rnn(3, n_inputs=2)}, "2 inputs, expected 1"),
        ({"feedback": "rates"}, "feedback='rates' is unknown"),
        ({"bin_size": 0}, "bin_size=0 and mean_rate=10.0 must be above 0"),
        ({"network": with_weights(2, np.zeros((2, 2)), b_in=-9.0)}, "no neuron is ever active"),
    ],
)
def test_wrong_generators_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        RNNGenerator(**options)


def test_sample_must_have_a_size():
    with pytest.raises(InvalidInputError, match="n_sessions=0 and n_time_bins=1000"):
        RNNGenerator().sample(0)

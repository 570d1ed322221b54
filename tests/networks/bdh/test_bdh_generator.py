import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh import BDHGenerator, make_bdh


@pytest.fixture(scope="module")
def generator():
    return BDHGenerator(mean_rate=20.0, bin_size=0.05)


@pytest.fixture(scope="module")
def sample(generator):
    return generator.sample(10, 402, random_state=1)


@pytest.mark.slow
def test_sample_keeps_the_promise(sample):
    assert sample["spikes"].sizes == {"session": 10, "time": 402, "neuron": 32}
    assert sample["rates"].dims == sample["spikes"].dims
    assert sample["connectivity"].dims == ("post", "pre")
    assert sample.attrs["bin_size"] == sample["spikes"].attrs["bin_size"] == 0.05
    assert float(sample["rates"].mean()) == pytest.approx(20, rel=0.2)
    np.testing.assert_array_equal(sample["level"][:6], [0, 1, 2, 3, 0, 1])
    assert (sample["token"][:, :4] == sample["token"][:, :1]).all()


@pytest.mark.slow
def test_counts_are_poisson_with_the_rates(sample):
    expected = sample["rates"] * sample.attrs["bin_size"]
    surplus = (sample["spikes"] - expected).sum(("session", "time"))
    assert (abs(surplus) < 5 * np.sqrt(expected.sum(("session", "time"))) + 1e-6).all()
    assert float((expected == 0).mean()) > 0.3  # sparse


@pytest.mark.slow
def test_activity_is_that_of_the_network(generator):
    reading = BDHGenerator(mean_rate=20.0, bin_size=0.05, feedback="activity")
    assert reading.gain == pytest.approx(generator.gain)
    sample = reading.sample(1, 40)
    tokens = sample["token"].values[:, ::4]
    _, neurons = jax.jit(lambda m, t: m.activity(t))(reading.model, jnp.asarray(tokens))
    z = np.asarray(neurons.x * neurons.y)[:, :, 0]  # (level, head, token, neuron)
    expected = reading.gain * z.transpose(2, 0, 1, 3).reshape(40, 32) / 0.05
    np.testing.assert_allclose(sample["rates"].values[0], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_seed_and_feedback_change_the_sample(generator, sample):
    assert generator.sample(10, 402, random_state=1)["spikes"].equals(sample["spikes"])
    assert not generator.sample(10, 402, random_state=2)["spikes"].equals(sample["spikes"])
    reading = BDHGenerator(mean_rate=20.0, bin_size=0.05, feedback="activity")
    assert not reading.sample(10, 402, random_state=1)["rates"].equals(sample["rates"])


@pytest.mark.slow
def test_text_is_read_from_other_places_on():
    generator = BDHGenerator(mean_rate=20.0, bin_size=0.05, text="abcdefg")
    tokens = generator.sample(6, 41)["token"].values[:, ::4]
    assert tokens.min() == ord("a")
    assert tokens.max() == ord("g")
    assert (np.isin(np.diff(tokens, axis=1), [1, -6])).all()
    assert len(np.unique(tokens[:, 0])) > 1
    assert generator.gain != BDHGenerator(mean_rate=20.0, bin_size=0.05).gain


def test_text_of_unknown_tokens_is_named():
    small = make_bdh(4, n_neurons=8, n_heads=1, n_levels=1, n_tokens=98)
    with pytest.raises(InvalidInputError, match="has the byte 99, but the network knows 98"):
        BDHGenerator(small, text="abc")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feedback": "rates"}, "feedback='rates' is unknown"),
        ({"bin_size": 0}, "bin_size=0 and mean_rate=10.0 must be above 0"),
    ],
)
def test_wrong_generators_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        BDHGenerator(**options)


@pytest.mark.slow
def test_silence_and_empty_samples_are_named(generator):
    silent = jax.tree.map(lambda w: 0 * w, make_bdh(4, n_neurons=8, n_heads=1, n_levels=1))
    with pytest.raises(InvalidInputError, match="no neuron is ever active"):
        BDHGenerator(silent)
    with pytest.raises(InvalidInputError, match="n_sessions=0 and n_time_bins=1000"):
        generator.sample(0)

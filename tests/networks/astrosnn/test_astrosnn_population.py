import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from onehotglm.errors import InvalidInputError
from onehotglm.networks.astrosnn import (
    AstroGenerator,
    AstroPopulation,
    make_astro_population,
    make_astro_rnn,
)
from onehotglm.networks.rnn.accuracy import accuracy_at_end
from onehotglm.networks.rnn.curriculum import Curriculum
from onehotglm.networks.rnn.recurrence import run_all
from onehotglm.networks.training import Optimiser, run_steps, start_training


@pytest.mark.slow
def test_units_hear_each_other_one_bin_late():
    network = make_astro_rnn(5, n_inputs=2, random_state=1)
    population = network.layers[0]
    rng = np.random.default_rng(0)
    inputs = jnp.asarray((rng.random((12, 1, 2)) < 0.5), jnp.float32)
    states = network.initial_state(jax.random.key(0), 1)
    _, spikes = jax.jit(run_all)(network.dynamics(), states, inputs)
    # The same as a layer that is given the spikes of the bin before.
    before = jnp.concatenate([jnp.zeros_like(spikes[:1]), spikes[:-1]])
    weights = np.concatenate([population.units.weights[:, :2], population.connectivity], axis=1)
    units = eqx.tree_at(lambda u: u.weights, population.units, jnp.asarray(weights))
    _, trace = eqx.filter_jit(units.run)(jnp.concatenate([inputs, before], axis=2))
    np.testing.assert_array_equal(trace.spikes, spikes)
    assert 0 < float(spikes.mean()) < 1
    np.testing.assert_array_equal(np.diag(population.connectivity), 0)


@pytest.mark.slow
@pytest.mark.parametrize("astrocyte", [True, False])
def test_population_learns_a_memory_task(astrocyte):
    network = make_astro_rnn(24, astrocyte=astrocyte)
    curriculum = Curriculum("single", "recall", max_span=3)
    optimiser = Optimiser("adam", learning_rate=5e-3, clip_norm=1.0)
    state = start_training(network, optimiser)
    data = (jnp.asarray(2), jnp.asarray(curriculum.asked(2)))
    state, metrics = run_steps(state, curriculum.objective(2), optimiser, 150, data)
    assert metrics["accuracy"][-20:].mean() > 0.95
    assert accuracy_at_end(state.model, "recall", 2) > 0.95


@pytest.fixture(scope="module")
def sample():
    return AstroGenerator(mean_rate=10.0).sample(20, 600, random_state=1)


def test_sample_keeps_the_promise(sample):
    assert sample["spikes"].sizes == {"session": 20, "time": 600, "neuron": 20}
    for name in ("rates", "calcium", "gliotransmission"):
        assert sample[name].dims == sample["spikes"].dims
    assert sample["connectivity"].dims == ("post", "pre")
    assert sample.attrs["bin_size"] == sample["spikes"].attrs["bin_size"] == 0.02
    assert set(np.unique(sample["spikes"])) == {0, 1}
    assert float(sample["rates"].mean()) == pytest.approx(10, rel=0.3)


def test_rates_are_the_probabilities_of_spikes(sample):
    proba = (sample["rates"] * sample.attrs["bin_size"]).values
    spikes = sample["spikes"].values
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1)):
        chosen = (proba >= low) & (proba < high)
        error = np.sqrt((proba[chosen] * (1 - proba[chosen])).sum()) / chosen.sum()
        assert abs(spikes[chosen].mean() - proba[chosen].mean()) < 5 * error


def test_calcium_is_slower_than_spikes(sample):
    def memory(values, lag=10):
        centred = values - values.mean(axis=1, keepdims=True)
        return (centred[:, lag:] * centred[:, :-lag]).mean() / (centred**2).mean()

    late = sample.isel(time=slice(300, None))
    assert memory(late["calcium"].values) > 0.5
    assert memory(late["spikes"].values) < 0.2


@pytest.mark.slow
def test_spikes_travel_along_the_wiring():
    # Unit 0 excites unit 1, and nothing else is connected: its rate tells where the membrane is.
    units = make_astro_rnn(3, astrocyte=False, reset=False).layers[0].units
    weights = np.zeros((3, 4))
    weights[1, 1] = 2.0
    arrays = (weights, np.zeros(3), np.full(3, np.log(np.expm1(1.0))), np.full(3, -30.0))
    units = eqx.tree_at(
        lambda u: (u.weights, u.bias, u.base_threshold, u.decay),
        units,
        tuple(jnp.asarray(a, jnp.float32) for a in arrays),
    )
    generator = AstroGenerator(AstroPopulation(units), mean_rate=10.0, noise=1.0)
    sample = generator.sample(1, 300)
    before = sample["spikes"].values[0, :-1, 0]
    expected = norm.cdf(generator.bias - 1 + 2 * before) / 0.02
    np.testing.assert_allclose(sample["rates"].values[0, 1:, 1], expected, rtol=1e-3)
    assert generator.connectivity.sel(post=1, pre=0) == 2.0
    assert (sample["calcium"] == 0).all()
    assert (sample["gliotransmission"] == 1).all()


@pytest.mark.slow
def test_options_and_seed_change_the_sample(sample):
    plain = AstroGenerator(mean_rate=10.0)
    again = plain.sample(20, 600, random_state=1)["spikes"]
    assert again.equals(sample["spikes"])
    assert not plain.sample(20, 600, random_state=2)["spikes"].equals(again)
    for options in ({"noise": 1.0}, {"mean_rate": 5.0}, {"bin_size": 0.01}):
        other = AstroGenerator(**{"mean_rate": 10.0, **options}).sample(20, 600, random_state=1)
        assert not np.allclose(other["rates"], sample["rates"])


def test_astrocytes_to_choose():
    plain, other = (
        make_astro_population(30, random_state=1, **options)
        for options in ({}, {"density": 0.3, "contact": 3.0, "strength": 2.0, "coupling": -0.2})
    )
    present = np.asarray(other.connectivity) != 0
    assert 0.2 < present.mean() < 0.4
    np.testing.assert_allclose(
        other.connectivity[present] * 0.3**0.5, plain.connectivity[present], rtol=1e-5
    )
    spikes = np.ones((1, 31), np.float32)
    few, many = plain.units.astrocyte, other.units.astrocyte
    np.testing.assert_allclose(many.inflow(spikes), 3 * few.inflow(spikes), rtol=1e-5)
    np.testing.assert_allclose(many.set_point, 3 * few.set_point)
    np.testing.assert_allclose(many.strength, 2 * few.strength)
    np.testing.assert_allclose(many.coupling, -0.2)
    assert (few.coupling == 0).all()


@pytest.mark.slow
def test_calcium_that_does_nothing_leaves_the_spikes_as_they_were():
    mute = make_astro_population(10, strength=0.0, contact=2.0)
    units = make_astro_population(10).units
    without = AstroPopulation(eqx.tree_at(lambda u: u.astrocyte, units, None))
    first, second = (AstroGenerator(p).sample(2, 300) for p in (mute, without))
    assert first["spikes"].equals(second["spikes"])
    assert (first["calcium"] > 0).any()
    strong = AstroGenerator(make_astro_population(10, contact=2.0, coupling=-0.1)).sample(2, 300)
    assert not strong["spikes"].equals(first["spikes"])


@pytest.mark.parametrize("options", [{"density": 0}, {"density": 1.1}, {"contact": 0}])
def test_wrong_astrocytes_are_named(options):
    with pytest.raises(InvalidInputError, match="expected a part above 0 and at most 1"):
        make_astro_population(4, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": make_astro_rnn(3)}, "population is RNN, expected AstroPopulation"),
        ({"noise": 0}, "noise=0 must be above 0"),
        ({"mean_rate": 60.0}, "less than one spike expected per bin"),
    ],
)
def test_wrong_generators_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        AstroGenerator(**options)


@pytest.mark.parametrize("options", [{"n_heads": 0}, {"n_inputs": 0}])
def test_wrong_populations_are_named(options):
    with pytest.raises(InvalidInputError, match="=0, but it must be at least 1"):
        make_astro_rnn(4, **options)


def test_sample_must_have_a_size():
    with pytest.raises(InvalidInputError, match="n_sessions=0 and n_time_bins=1000"):
        AstroGenerator().sample(0)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.accuracy import accuracy_at_end, drive_randomly
from onehotglm.networks.rnn.curriculum import (
    PUBLISHED_OPTIMISER,
    Curriculum,
    run_curriculum,
    train_span,
)
from onehotglm.networks.rnn.dimensionality import dimensionality
from onehotglm.networks.rnn.lesions import (
    ablation_curve,
    perturb,
    perturbation_curve,
    remove,
    silence,
)
from onehotglm.networks.rnn.network import make_rnn
from onehotglm.networks.rnn.recurrence import run_all
from onehotglm.networks.training import start_training


@pytest.fixture(scope="module")
def trained():
    return run_curriculum(32, Curriculum("single", max_span=2), n_steps=3000).network


@jax.jit
def outputs(network, states, inputs):
    _, activity = run_all(network.dynamics(), states, inputs)
    return network.logits(activity)


@pytest.mark.slow
def test_silenced_neurons_are_as_if_removed():
    network = make_rnn(9, n_heads=2)
    gone, kept = np.array([1, 4]), np.array([0, 2, 3, 5, 6, 7, 8])
    inputs = jax.random.bernoulli(jax.random.key(1), shape=(20, 3, 1)).astype(float)
    states = network.initial_state(jax.random.key(0), 3)
    kept_states = ((states[0][0][:, kept],),)
    np.testing.assert_allclose(
        outputs(silence(network, gone), states, inputs),
        outputs(remove(network, gone), kept_states, inputs),
        atol=1e-6,
    )
    assert not np.allclose(
        outputs(silence(network, gone), states, inputs), outputs(network, states, inputs)
    )


@pytest.mark.slow
def test_ablation_ends_at_chance_and_begins_intact(trained):
    ranking = np.argsort(-trained.layers[0].effective_tau)
    curve = ablation_curve(trained, "parity", 2, ranking, [0, 32])
    assert curve["relative_accuracy"][0] == 1
    assert curve.attrs["intact_accuracy"] > 0.97
    # A network without neurons always gives the same answer.
    assert curve["accuracy"][1] < 0.8


@pytest.mark.slow
def test_silenced_head_is_the_span_s_own():
    network = make_rnn(8, n_heads=3)
    by_default = ablation_curve(network, "dms", 3, np.arange(8), [1])
    by_name = ablation_curve(network, "dms", 3, np.arange(8), [1], head=1)
    other = ablation_curve(network, "dms", 3, np.arange(8), [1], head=2)
    assert by_default.attrs == by_name.attrs
    assert by_default.attrs != other.attrs


@pytest.mark.parametrize("what", ["weights", "tau"])
def test_noise_has_the_stated_norm_and_touches_nothing_else(what):
    network = make_rnn(40)
    noisy = perturb(network, 0.3, what=what)
    layers = network.layers[0], noisy.layers[0]
    weights = [layer.connectivity for layer in layers]
    taus = [layer.tau for layer in layers]
    moved, still = (weights, taus) if what == "weights" else (taus, weights)
    relative = jnp.linalg.norm(moved[1] - moved[0]) / jnp.linalg.norm(moved[0])
    assert relative == pytest.approx(0.3, rel=1e-4)
    np.testing.assert_array_equal(*still)
    np.testing.assert_array_equal(network.w_out, noisy.w_out)


@pytest.mark.slow
def test_strong_noise_on_weights_hurts(trained):
    curve = perturbation_curve(trained, "parity", 2, [0.0, 3.0], n_draws=3)
    assert curve["relative_accuracy"][0] == 1
    assert curve["accuracy"][1] < curve["accuracy"][0] - 0.1


@pytest.mark.slow
def test_retraining_restores_an_ablated_network(trained):
    gone = np.argsort(-np.abs(np.array(trained.w_out[0, 0])))[:8]
    smaller = remove(trained, gone)
    before = accuracy_at_end(smaller, "parity", 2)[0, 0]
    state = start_training(smaller, PUBLISHED_OPTIMISER)
    state, stage = train_span(state, Curriculum("single", max_span=2), 2, n_steps=2000)
    assert stage.passed
    assert before < accuracy_at_end(state.model, "parity", 2)[0, 0] > 0.97


@pytest.mark.slow
def test_readout_alone_can_be_trained():
    curriculum = Curriculum("single", max_span=2, readout_only=True)
    network = make_rnn(8)
    state = start_training(network, PUBLISHED_OPTIMISER)
    state, _ = train_span(state, curriculum, 2, n_steps=20, steps_per_call=20)
    np.testing.assert_array_equal(state.model.layers[0].w_hh, network.layers[0].w_hh)
    assert not np.allclose(state.model.w_out, network.w_out)


def test_dimensions_of_known_activity():
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    activity = (rng.standard_normal((20_000, 3)) * [3, 3, 1]) @ rotation[:3]
    found = dimensionality(activity.reshape(200, 100, 6), explained=0.9)
    assert found["n_components"] == 2  # 9 + 9 of 19
    assert dimensionality(activity, explained=0.99)["n_components"] == 3
    assert float(found["participation_ratio"]) == pytest.approx(19**2 / 163, rel=0.02)
    np.testing.assert_allclose(
        found["explained_variance_ratio"][:3], [9 / 19, 9 / 19, 1 / 19], atol=0.01
    )


def test_constant_activity_has_no_dimension():
    found = dimensionality(np.ones((10, 4)))
    assert found["n_components"] == 0
    assert found["participation_ratio"] == 0


def test_dimensions_of_a_network():
    run = drive_randomly(make_rnn(12), 300, n_streams=2)
    assert run.activity.shape == (300, 2, 12)
    assert 1 <= dimensionality(run.activity)["n_components"] <= 12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: silence(make_rnn(4, n_layers=2), [0]), "2 layers of LeakyCell"),
        (lambda: remove(make_rnn(4, cell="gru"), [0]), "1 layers of GatedCell"),
        (lambda: perturb(make_rnn(4), 0.1, what="bias"), "what='bias' is unknown"),
        (lambda: dimensionality(np.ones((3, 2)), explained=90), "expected a fraction"),
    ],
)
def test_wrong_lesions_are_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()

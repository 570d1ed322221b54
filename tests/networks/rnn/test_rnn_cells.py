import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.network import make_rnn
from onehotglm.networks.rnn.recurrence import run_all, run_to_end


@jax.jit
def drive(network, inputs, key=0):
    states = network.initial_state(jax.random.key(key), inputs.shape[1])
    return states, run_all(network.dynamics(), states, inputs)[1]


@pytest.fixture
def inputs():
    return jax.random.bernoulli(jax.random.key(9), shape=(12, 4, 1)).astype(float)


def leaky_by_hand(cell, h, x):
    """The equation as it is printed, one neuron at a time."""
    W = np.array(cell.w_hh)
    following = np.empty_like(h)
    for i in range(len(W)):
        drive = sum(W[i, j] * h[:, j] for j in range(len(W)) if j != i)
        drive = drive + float(cell.b_hh[i]) + float(cell.b_in[i]) + x @ np.array(cell.w_in)[i]
        rate = 1 / max(float(cell.tau[i]), 1.0)
        if cell.leak == "inside":
            a = (1 - rate) * h[:, i] + rate * drive
            following[:, i] = np.where(a > 0, a, 0.01 * a)
        else:
            following[:, i] = (1 - rate) * h[:, i] + rate * np.where(drive > 0, drive, 0.01 * drive)
    return following


@pytest.mark.parametrize("leak", ["inside", "outside"])
def test_leaky_cell_follows_its_equation(leak, inputs):
    network = make_rnn(5, leak=leak)
    # One timescale below 1 counts as 1.
    network = eqx.tree_at(lambda n: n.layers[0].tau, network, jnp.array([0.7, 1.0, 1.5, 2.0, 9.0]))
    states, activity = drive(network, inputs)
    h = np.array(states[0][0])
    for t in range(len(inputs)):
        h = leaky_by_hand(network.layers[0], h, np.array(inputs[t]))
        np.testing.assert_allclose(activity[t], h, atol=1e-6)


def test_gru_and_lstm_follow_their_equations(inputs):
    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    for kind in ("gru", "lstm"):
        network = make_rnn(3, cell=kind)
        cell = network.layers[0]
        states, activity = drive(network, inputs)
        h, c = np.array(states[0][0]), np.zeros((4, 3))
        for t in range(len(inputs)):
            from_h = h @ np.array(cell.w_hh).T + np.array(cell.b_hh)
            from_x = np.array(inputs[t]) @ np.array(cell.w_in).T + np.array(cell.b_in)
            if kind == "gru":
                r, z, _ = np.split(sigmoid(from_h + from_x), 3, axis=1)
                n = np.tanh(from_x[:, 6:] + r * from_h[:, 6:])
                h = (1 - z) * n + z * h
            else:
                i, f, _, o = np.split(sigmoid(from_h + from_x), 4, axis=1)
                c = f * c + i * np.tanh((from_h + from_x)[:, 6:9])
                h = o * np.tanh(c)
            np.testing.assert_allclose(activity[t], h, atol=1e-6)


def test_second_layer_hears_the_first(inputs):
    network = make_rnn(4, n_layers=2)
    _, activity = drive(network, inputs)
    deaf = eqx.tree_at(lambda n: n.layers[1].w_in, network, jnp.zeros((4, 4)))
    assert not np.allclose(activity, drive(deaf, inputs)[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"leak": "outside"},
        {"n_layers": 2},
        {"n_layers": 2, "leak": "outside"},
        {"cell": "gru"},
        {"cell": "lstm", "n_layers": 2},
    ],
    ids=str,
)
def test_gradients_of_the_training_recurrence(options, float64):
    network = make_rnn(6, n_heads=2, **options)
    network = jax.tree.map(lambda a: a.astype(jnp.float64), network)
    inputs = jax.random.bernoulli(jax.random.key(9), shape=(12, 4, 1)).astype(float)
    states = network.initial_state(jax.random.key(0), 4)

    def end(network, states, start):
        last = run_to_end(network.dynamics(), states, inputs, start)
        return jnp.sum(network.logits(last[-1][0]) ** 2)

    def end_by_scan(network, states, start):
        _, activity = run_all(network.dynamics(), states, inputs[start:])
        return jnp.sum(network.logits(activity[-1]) ** 2)

    gradient = jax.jit(jax.value_and_grad(end, argnums=(0, 1)))
    by_scan = jax.jit(jax.value_and_grad(end_by_scan, argnums=(0, 1)), static_argnums=2)
    for start in (0, 5):
        ours, plain = gradient(network, states, start), by_scan(network, states, start)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def gradient_of_tau(**options):
    network = make_rnn(6, **options)
    inputs = jnp.ones((5, 4, 1))
    states = network.initial_state(jax.random.key(0), 4)

    @jax.jit
    def end(network):
        return jnp.sum(run_to_end(network.dynamics(), states, inputs, 0)[-1][0])

    return jax.grad(end)(network).layers[0]


def test_tau_is_trained_or_fixed():
    assert np.abs(gradient_of_tau().tau).max() > 0
    assert np.abs(gradient_of_tau(train_tau=False).tau).max() == 0


def test_no_gradient_reaches_self_connections():
    assert np.abs(np.diag(gradient_of_tau().w_hh)).max() == 0


def test_random_state_is_a_seed_or_a_key():
    by_seed, by_key = make_rnn(4, random_state=3), make_rnn(4, random_state=jax.random.key(3))
    np.testing.assert_array_equal(by_seed.w_out, by_key.w_out)
    assert not np.allclose(by_seed.w_out, make_rnn(4, random_state=4).w_out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_layers": 0}, "n_layers=0, but it must be at least 1"),
        ({"cell": "elman"}, "cell='elman' is unknown; choose one of leaky, gru, lstm"),
        ({"leak": "none"}, "leak='none' is unknown; choose one of inside, outside"),
        ({"cell": "gru", "train_tau": False}, "mean nothing for cell='gru'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        make_rnn(4, **options)

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.networks.astrosnn import make_amsu, make_astrosnn, spike
from onehotglm.networks.layers import count_parameters


def make(n_inputs=3, n_neurons=4, seed=0, **options):
    return make_amsu(n_inputs, n_neurons, rng=np.random.default_rng(seed), **options)


def trained(unit, seed=0, dtype=None):
    """Move all parameters away from where they start, so that each matters."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: jnp.asarray(p + 0.3 * rng.standard_normal(p.shape), dtype or p.dtype), unit
    )


def spike_trains(rng, *shape):
    return (rng.random(shape) < 0.4).astype(float)


def by_hand(unit, x):
    """The equations of the module's head, bin by bin, for one sequence (time, pre)."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, float), unit)
    sigmoid, softplus = lambda v: 1 / (1 + np.exp(-v)), lambda v: np.log1p(np.exp(v))
    c = u = s = np.zeros(len(p.bias))
    rows = []
    for x_t in x:
        g, threshold = np.ones_like(c), softplus(p.base_threshold)
        if p.astrocyte is not None:
            a_c = sigmoid(p.astrocyte.decay)
            c = a_c * c + (1 - a_c) * (softplus(p.astrocyte.contact) @ x_t)
            g = 1 + p.astrocyte.strength * np.tanh(c - p.astrocyte.set_point)
            if p.astrocyte.coupling is not None:
                threshold = threshold + p.astrocyte.coupling * c
        current = g * (p.weights @ x_t) + p.bias
        u = sigmoid(p.decay) * u + current - (threshold * s if unit.reset else 0)
        s = (u > threshold).astype(float)
        rows.append((s, u, c, g, threshold))
    return [np.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("surrogate", ["fast-sigmoid", "arctan"])
def test_surrogates_are_the_slopes_that_they_say(surrogate):
    v = np.linspace(-2, 2, 41)
    slope = {"fast-sigmoid": (1 + 10 * abs(v)) ** -2.0, "arctan": 1 / (1 + (np.pi * v) ** 2)}
    distance = jnp.asarray(v, jnp.float32)
    np.testing.assert_array_equal(spike(distance, surrogate), v > 0)
    found, change = jax.jvp(lambda d: spike(d, surrogate), (distance,), (jnp.full(41, 2.0),))
    np.testing.assert_array_equal(found, v > 0)
    np.testing.assert_allclose(change, 2 * slope[surrogate], rtol=1e-5)
    back = jax.grad(lambda d: spike(d, surrogate).sum())(distance)
    np.testing.assert_allclose(back, slope[surrogate], rtol=1e-5)


OPTIONS = [
    {},
    {"threshold_coupling": False},
    {"astrocyte": False},
    {"reset": False},
]


@pytest.mark.parametrize(
    "options",
    [OPTIONS[0], *(pytest.param(o, marks=pytest.mark.slow) for o in OPTIONS[1:])],
    ids=str,
)
def test_a_run_follows_the_equations(options):
    rng = np.random.default_rng(1)
    unit = trained(make(**options))
    x = spike_trains(rng, 30, 2, 3)
    _, trace = eqx.filter_jit(unit.run)(jnp.asarray(x, jnp.float32))
    for i in range(2):
        for found, expected in zip(trace, by_hand(unit, x[:, i]), strict=True):
            np.testing.assert_allclose(
                found[:, i], np.broadcast_to(expected, found[:, i].shape), atol=1e-4
            )
    assert 0 < float(trace.spikes.mean()) < 1


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float64"])
@settings(max_examples=6, deadline=None)
@given(
    n_inputs=st.integers(1, 4),
    n_neurons=st.integers(1, 5),
    n_time=st.integers(1, 20),
    options=st.sampled_from(OPTIONS),
    seed=st.integers(0, 999),
)
def test_both_forms_agree(precision, n_inputs, n_neurons, n_time, options, seed):
    with jax.enable_x64(precision == "float64"):
        unit = trained(make(n_inputs, n_neurons, seed, **options), seed, precision)
        x = jnp.asarray(spike_trains(np.random.default_rng(seed), n_time, 2, n_inputs), precision)

        @jax.jit
        def in_steps(unit, x):
            return jax.lax.scan(lambda s, x: (unit.step(s, x),) * 2, unit.initial_state(2), x)

        last, states = in_steps(unit, x)
        end, trace = eqx.filter_jit(unit.run)(x)
        tolerance = 1e-4 if precision == "float32" else 1e-9
        assert trace.membrane.dtype == precision
        np.testing.assert_allclose(trace.membrane, states.membrane, atol=tolerance)
        np.testing.assert_array_equal(trace.spikes, states.spikes)
        np.testing.assert_allclose(trace.calcium, states.calcium, atol=tolerance)
        for found, expected in zip(end, last, strict=True):
            np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"reset": False}], ids=str)
def test_a_run_goes_on_where_it_stopped(options):
    unit = trained(make(**options))
    x = jnp.asarray(spike_trains(np.random.default_rng(2), 12, 1, 3), jnp.float32)
    run = eqx.filter_jit(unit.run)
    _, whole = run(x)
    state, first = run(x[:7])
    _, second = run(x[7:], state)
    joined = jnp.concatenate([first.membrane, second.membrane])
    np.testing.assert_allclose(joined, whole.membrane, atol=1e-5)


@pytest.mark.slow
def test_each_option_changes_the_run():
    x = jnp.asarray(spike_trains(np.random.default_rng(3), 30, 1, 3), jnp.float32)
    run = jax.jit(lambda unit, x: unit.run(x)[1].membrane)
    membranes = [np.asarray(run(trained(make(**options)), x)) for options in OPTIONS]
    for i in range(len(membranes)):
        for j in range(i):
            assert not np.allclose(membranes[i], membranes[j])


def test_parameters_of_the_astrocyte_are_gone_without_it():
    full, uncoupled, plain = (count_parameters(make(**o)) for o in OPTIONS[:3])
    assert full - uncoupled == 4
    assert uncoupled - plain == 3 * 4 + 3 * 4
    assert plain == 3 * 4 + 3 * 4


def test_calcium_is_slow_and_positive():
    unit = make(n_neurons=50)
    timescales = 1 / (1 - jax.nn.sigmoid(unit.astrocyte.decay))
    assert 20 <= float(timescales.min()) < float(timescales.max()) <= 201
    assert (jax.nn.softplus(unit.astrocyte.contact) > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"reset": False}, {"astrocyte": False}], ids=str)
def test_gradients_reach_every_parameter(options):
    model = trained(make_astrosnn(6, n_neurons=8, n_blocks=2, n_tokens=5, **options))
    tokens = jnp.asarray(np.random.default_rng(0).integers(5, size=(2, 9)))
    gradient = jax.jit(jax.grad(lambda m, t: (m.logits(t)[..., 0] ** 2).sum()))(model, tokens)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, path


@pytest.mark.parametrize(
    "options",
    [{"reset": False, "surrogate": "arctan"}, pytest.param({}, marks=pytest.mark.slow)],
    ids=str,
)
def test_text_in_steps_and_at_once(options):
    model = trained(make_astrosnn(6, n_neurons=8, n_blocks=2, n_tokens=5, **options))
    tokens = jnp.asarray(np.random.default_rng(0).integers(5, size=(2, 9)))

    @jax.jit
    def both(model, tokens):
        state = model.initial_state(2, 9)
        steps = jax.lax.scan(lambda s, t: model.step(s, t), state, tokens.T)[1]
        return steps.swapaxes(0, 1), model.logits(tokens), model.trace(tokens)

    steps, whole, trace = both(model, tokens)
    np.testing.assert_allclose(steps, whole, atol=1e-4)
    assert trace.calcium.shape == (2, 9, 2, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_neurons": 0}, "n_neurons=0, but it must be at least 1"),
        ({"n_blocks": 0}, "n_blocks=0"),
        ({"n_tokens": 0}, "n_tokens=0"),
        ({"surrogate": "sigmoid"}, "surrogate='sigmoid' is unknown; choose one of fast-sigmoid, a"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        make_astrosnn(4, **{"n_neurons": 4, "n_blocks": 1, **options})


@pytest.mark.parametrize("name", ["calcium_timescales", "membrane_timescales"])
def test_initial_timescales(name):
    def decay(**options):
        units = make_amsu(2, 50, rng=np.random.default_rng(0), **options)
        return units.astrocyte.decay if name == "calcium_timescales" else units.decay

    found = 1 + np.exp(np.asarray(decay(**{name: (3.0, 30.0)})))
    assert 3 <= found.min() < 5
    assert 20 < found.max() <= 30.001
    with pytest.raises(InvalidInputError, match=f"{name}=.* the shortest above 1"):
        decay(**{name: (1.0, 5.0)})

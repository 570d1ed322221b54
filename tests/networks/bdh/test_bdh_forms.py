"""The three forms of BDH are one function, and that function is the published one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.networks.bdh import BDH, as_graph, core as core_module, load_published, make_bdh
from onehotglm.networks.bdh.core import BDHCore, attend
from onehotglm.networks.bdh.published import ARRAYS, neuron_order
from onehotglm.networks.bdh.rotary import rotate

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


@pytest.fixture(scope="module")
def reference(shared_data):
    path = shared_data("bdh_reference.npz")
    with np.load(path) as file:
        return load_published(path), dict(file)


@jax.jit
def at_once(model, tokens):
    return model.logits(tokens)


@jax.jit
def stepwise(model, tokens):
    """Logits of the state form, (batch, time, token)."""
    state = model.initial_state(len(tokens), tokens.shape[1])
    _, logits = jax.lax.scan(lambda s, t: model.step(s, t), state, tokens.T)
    return logits.swapaxes(0, 1)


def test_published_logits(reference):
    model, stored = reference
    found = at_once(model, stored["idx"])
    np.testing.assert_allclose(found, stored["logits"], atol=1e-4)
    log_proba = jax.nn.log_softmax(found)
    loss = -np.take_along_axis(np.asarray(log_proba), stored["targets"][..., None], -1).mean()
    assert loss == pytest.approx(float(stored["loss"]), abs=1e-5)


@pytest.mark.slow
def test_published_sparse_activity(reference):
    model, stored = reference
    found = jax.jit(lambda model, tokens: model.activity(tokens)[1].x[0])(model, stored["idx"])
    expected = stored["x_sparse_level0"].swapaxes(0, 1)[..., neuron_order(256)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_published_logits_of_the_other_forms(reference):
    model, stored = reference
    np.testing.assert_allclose(stepwise(model, stored["idx"]), stored["logits"], atol=1e-4)
    np.testing.assert_allclose(
        as_graph(model).logits(stored["idx"][0]), stored["logits"][0], atol=1e-4
    )


def random_bdh(rng, n_features, n_pairs, n_heads, n_levels, precision):
    """Weights of such a size that every part of the network matters."""

    def weights(*shape):
        return jnp.asarray(0.3 * rng.normal(size=shape), precision)

    shape = (n_heads, n_features, 2 * n_pairs)
    core = BDHCore(weights(*shape), weights(*shape), weights(n_heads, *shape[:0:-1]), n_levels)
    return BDH(weights(11, n_features), core, weights(n_features, 11))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float64"])
@settings(max_examples=5, deadline=None)
@given(
    n_features=st.integers(3, 8),
    n_pairs=st.integers(5, 9),
    n_heads=st.integers(1, 3),
    n_levels=st.integers(1, 3),
    size=st.tuples(st.integers(1, 2), st.integers(1, 9)),
    seed=st.integers(0, 99),
)
def test_forms_agree(precision, n_features, n_pairs, n_heads, n_levels, size, seed):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(11, size=size)
    with jax.enable_x64(precision == "float64"):
        model = random_bdh(rng, n_features, n_pairs, n_heads, n_levels, precision)
        expected = at_once(model, tokens)
        assert expected.dtype == precision
        for found in (stepwise(model, tokens)[0], as_graph(model).logits(tokens[0])):
            np.testing.assert_allclose(found, expected[0], atol=TOLERANCE[precision])


@pytest.mark.slow
def test_long_sequences_are_cut_without_a_trace(monkeypatch, float64):
    rng = np.random.default_rng(0)
    rotated, values = rng.normal(size=(2, 1, 11, 6)), rng.normal(size=(1, 11, 3))
    weights = np.tril(np.einsum("hbtn,hbun->hbtu", rotated, rotated), -1)
    expected = np.einsum("hbtu,bud->hbtd", weights, values)
    for chunk_size in (4, 11, 128):
        monkeypatch.setattr(core_module, "CHUNK_SIZE", chunk_size)
        found = attend(jnp.asarray(rotated), jnp.asarray(values))
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.slow
def test_derivatives_of_attention(float64):
    rng = np.random.default_rng(0)
    rotated, change = jnp.asarray(rng.normal(size=(2, 2, 5, 6)))
    values = jnp.asarray(rng.normal(size=(2, 5, 3)))

    def plain(rotated):
        weights = jnp.tril(jnp.einsum("btn,bun->btu", rotated, rotated), -1)
        return jnp.einsum("btu,bud->btd", weights, values)

    def ours(rotated):
        return attend(rotated, values)

    for found, expected in (
        (jax.jvp(form, (rotated,), (change,))[1] for form in (ours, plain)),
        (jax.grad(lambda r, form=form: (form(r) ** 2).sum())(rotated) for form in (ours, plain)),
    ):
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.slow
def test_rotation_tells_only_the_time_between(float64):
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 8))

    def likeness(t, u):
        turned = [rotate(jnp.asarray(v), jnp.asarray(p)) for v, p in ((first, t), (second, u))]
        return float(turned[0] @ turned[1])

    assert likeness(7, 3) == pytest.approx(likeness(104, 100), abs=1e-12)
    assert likeness(7, 3) != pytest.approx(likeness(7, 4), abs=1e-3)
    assert likeness(5, 5) == pytest.approx(first @ second)


def test_tokens_see_the_past_only(reference):
    model, stored = reference
    changed = stored["idx"].copy()
    changed[:, 20:] = (changed[:, 20:] + 1) % 64
    before, after = at_once(model, stored["idx"]), at_once(model, changed)
    np.testing.assert_array_equal(before[:, :20], after[:, :20])
    assert not np.allclose(before[:, 20:], after[:, 20:])


def test_graph_reads_one_text():
    with pytest.raises(InvalidInputError, match=r"shape \(1, 3\), expected \(time,\)"):
        as_graph(make_bdh(4, n_neurons=8, n_heads=1)).logits(jnp.zeros((1, 3), int))


def test_graph_needs_enough_neurons():
    with pytest.raises(InvalidInputError, match="a head has 4 neurons for 6 features"):
        as_graph(make_bdh(6, n_neurons=8, n_heads=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_neurons": 12, "n_heads": 4}, "n_neurons=12, expected a multiple of 8"),
        ({"n_levels": 0}, "n_levels=0, but it must be at least 1"),
        ({"n_features": 0}, "n_features=0"),
        ({"n_tokens": 0}, "n_tokens=0"),
    ],
)
def test_wrong_sizes_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        make_bdh(**{"n_features": 4, "n_neurons": 8, **options})


def test_loader_says_what_is_wrong(tmp_path):
    np.savez(tmp_path / "short.npz", **{name: np.ones(1) for name in ARRAYS[1:]})
    with pytest.raises(DataFileError, match="lacks embed__weight"):
        load_published(tmp_path / "short.npz")
    (tmp_path / "broken.npz").write_text("not a zip file")
    with pytest.raises(DataFileError, match="cannot be read as an npz file of weights"):
        load_published(tmp_path / "broken.npz")

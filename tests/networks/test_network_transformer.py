import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.networks.layers import count_parameters
from onehotglm.networks.transformer import make_transformer


@pytest.fixture(scope="module")
def model():
    random = make_transformer(8, n_layers=2, n_heads=2, max_length=12, n_tokens=7, random_state=1)
    # Weights of such a size that every part of the network matters.
    return jax.tree.map(lambda w: w * (10 if w.ndim > 1 else 1) + 0.1, random)


@jax.jit
def at_once(model, tokens):
    return model.logits(tokens)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def by_loops(model, tokens):
    """One text through the same equations, token by token and head by head."""
    weights = jax.tree.map(lambda w: np.asarray(w, float), model)
    norm = lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)  # noqa: E731
    x = weights.embedding[tokens] + weights.positions[: len(tokens)]
    for i in range(2):
        layer = jax.tree.map(lambda w, i=i: w[i], weights.layers)
        normed = norm(x) * layer.scales[0] + layer.shifts[0]
        found = np.zeros((len(tokens), 2, 4))
        for head in range(2):
            q, k, v = (
                normed @ layer.attention[:, part, head] + layer.attention_bias[part, head]
                for part in range(3)
            )
            for t in range(len(tokens)):
                scores = np.exp(k[: t + 1] @ q[t] / 2)
                found[t, head] = scores @ v[: t + 1] / scores.sum()
        x = x + np.einsum("thp,hpd->td", found, layer.merge) + layer.merge_bias
        normed = norm(x) * layer.scales[1] + layer.shifts[1]
        x = x + gelu(normed @ layer.widen + layer.widen_bias) @ layer.narrow + layer.narrow_bias
    return (norm(x) * weights.scale + weights.shift) @ weights.embedding.T


def test_logits_are_those_of_plain_loops(model):
    tokens = np.array([[3, 1, 4, 1, 5], [2, 6, 5, 3, 5]])
    found = at_once(model, tokens)
    for row in range(2):
        np.testing.assert_allclose(found[row], by_loops(model, tokens[row]), atol=1e-4)


@pytest.mark.slow
def test_cache_gives_the_same_logits(model):
    tokens = np.array([[3, 1, 4, 1, 5], [2, 6, 5, 3, 5]])

    @jax.jit
    def stepwise(model, tokens):
        state = model.initial_state(2, 6)
        return jax.lax.scan(lambda s, t: model.step(s, t), state, tokens.T)[1].swapaxes(0, 1)

    np.testing.assert_allclose(stepwise(model, tokens), at_once(model, tokens), atol=1e-4)


def test_number_of_parameters():
    # 12 d^2 + 13 d per layer, embedding and positions, the last normalisation.
    model = make_transformer(16, n_layers=3, max_length=10, n_tokens=20)
    assert count_parameters(model) == 3 * (12 * 16**2 + 13 * 16) + 30 * 16 + 2 * 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_heads": 3}, "n_features=8 is not a multiple of n_heads=3"),
        ({"n_layers": 0}, "n_layers=0, but it must be at least 1"),
    ],
)
def test_wrong_sizes_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        make_transformer(8, **options)


def test_too_long_texts_are_named(model):
    with pytest.raises(InvalidInputError, match="a text of 13 tokens, but the transformer has"):
        model.logits(jnp.zeros((1, 13), int))
    with pytest.raises(InvalidInputError, match="positions for 12"):
        model.initial_state(1, 13)

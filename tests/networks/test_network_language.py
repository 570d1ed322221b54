import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from onehotglm.errors import InvalidInputError
from onehotglm.networks.language import (
    LanguageModel,
    TextObjective,
    draw_token,
    generate,
    text_loss,
)
from onehotglm.networks.text import Text, running_text
from onehotglm.networks.training import Optimiser, start_training, train
from onehotglm.networks.transformer import make_transformer


class Bigram(LanguageModel):
    """Logits of the next token from the last one: the smallest language model."""

    table: Array

    @property
    def n_tokens(self):
        return len(self.table)

    def logits(self, tokens):
        return self.table[tokens]

    def initial_state(self, batch_size, max_length):
        return jnp.zeros(batch_size)

    def step(self, state, tokens):
        return state + 1, self.table[tokens]


@pytest.fixture(scope="module")
def cycle():
    """Writes 0, 1, 2, 3, 4, 0, ... almost surely."""
    return Bigram(jnp.asarray(20 * np.roll(np.eye(5), 1, axis=1), jnp.float32))


def test_the_most_likely_text_is_written(cycle):
    written = generate(cycle, [[1], [4]], 7, temperature=0.0)
    np.testing.assert_array_equal(written, (np.array([[2], [0]]) + np.arange(7)) % 5)
    np.testing.assert_array_equal(generate(cycle, [[3, 1]], 7, temperature=0.5)[0], written[0])


@pytest.mark.slow
def test_draws_follow_temperature_and_top_k():
    logits = jnp.tile(jnp.asarray([2.0, 1.0, 0.0, -1.0]), (4000, 1))

    def shares(temperature, top_k=None):
        drawn = draw_token(logits, jax.random.key(0), jnp.asarray(temperature), top_k)
        return np.bincount(np.asarray(drawn), minlength=4) / len(logits)

    for temperature in (0.5, 2.0):
        expected = jax.nn.softmax(logits[0] / temperature)
        np.testing.assert_allclose(shares(temperature), expected, atol=0.03)
    np.testing.assert_allclose(shares(1.0, 2)[:2], jax.nn.softmax(logits[0, :2]), atol=0.03)
    assert shares(1.0, 2)[2:].sum() == 0
    np.testing.assert_array_equal(shares(0.0), [1, 0, 0, 0])


def test_top_k_takes_no_more_of_equally_likely_tokens():
    drawn = draw_token(jnp.zeros((50, 9)), jax.random.key(0), jnp.asarray(1.0), 2)
    np.testing.assert_array_equal(np.unique(drawn), [0, 1])


def test_a_transformer_writes_as_far_as_its_positions_reach():
    model = make_transformer(4, n_layers=1, n_heads=1, max_length=6)
    # The last letter is written and not read.
    assert generate(model, "abcd", 3).shape == (1, 3)
    with pytest.raises(InvalidInputError, match="a text of 7 tokens, but the transformer has"):
        generate(model, "abcd", 4)


@pytest.mark.slow
def test_seed_sets_the_text():
    model = Bigram(jnp.zeros((9, 9)))
    first, again, other = (generate(model, [[0]], 20, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ("", {}, r"the prompt has shape \(1, 0\)"),
        (np.zeros((0, 3), int), {}, r"the prompt has shape \(0, 3\)"),
        ([1, 2], {}, r"the prompt has shape \(2,\), expected \(batch, time\)"),
        ([[0.7]], {}, "the prompt is of type float64, expected integers or bytes"),
        ([[5]], {}, "tokens from 5 to 5, the model knows 0 to 4"),
        ([[0]], {"n_tokens": 0}, "n_tokens=0, but it must be at least 1"),
        ([[0]], {"n_tokens": 2.5}, "n_tokens=2.5, but it must be at least 1, a whole number"),
        ([[0]], {"temperature": -1}, "temperature=-1, expected a number of at least 0"),
        ([[0]], {"temperature": np.nan}, "temperature=nan"),
        ([[0]], {"temperature": np.inf}, "temperature=inf"),
        ([[0]], {"top_k": 0}, "top_k=0, but it must be at least 1"),
        ([[0]], {"top_k": 6}, "top_k=6, expected 1 to 5"),
    ],
)
def test_wrong_requests_are_named(cycle, prompt, options, message):
    with pytest.raises(InvalidInputError, match=message):
        generate(cycle, prompt, **{"n_tokens": 3, **options})


def test_loss_of_a_text_does_not_depend_on_the_cutting():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(6, 6))
    tokens = rng.integers(6, size=101).astype(np.uint8)
    scored = rng.random(101) < 0.7
    text = Text(tokens, scored, np.arange(100))
    log_proba = table - np.log(np.exp(table).sum(axis=1, keepdims=True))
    losses = -log_proba[tokens[:-1], tokens[1:]]
    model = Bigram(jnp.asarray(table, jnp.float32))
    for window, batch_size in ((10, 3), (100, 16), (7, 16)):
        found = text_loss(model, text, window, batch_size)
        assert found == pytest.approx(losses[scored[1:]].mean(), rel=1e-5)


def test_loss_needs_two_tokens(cycle):
    with pytest.raises(InvalidInputError, match="the text has 1 tokens"):
        text_loss(cycle, Text(np.zeros(1, np.uint8), np.ones(1, bool), np.zeros(0)), 4)


def test_wrong_texts_and_sizes_are_named(cycle):
    text = Text(np.array([1, 2, 7], np.uint8), np.ones(3, bool), np.arange(2))
    with pytest.raises(InvalidInputError, match="the text holds tokens from 1 to 7, the model k"):
        text_loss(cycle, text, 4)
    with pytest.raises(InvalidInputError, match="no token of the text is scored"):
        text_loss(cycle, text._replace(scored=np.array([True, False, False])), 4)
    with pytest.raises(InvalidInputError, match="window=0, but it must be at least 1"):
        text_loss(cycle, text, 0)
    with pytest.raises(InvalidInputError, match="batch_size=0, but it must be at least 1"):
        TextObjective(window=4, batch_size=0)


@pytest.mark.slow
def test_training_learns_which_byte_follows():
    text = running_text(bytes([0, 1, 2, 3] * 50))
    optimiser = Optimiser("adam", learning_rate=0.3)
    run = train(
        start_training(Bigram(jnp.zeros((4, 4))), optimiser),
        TextObjective(window=8, batch_size=4),
        optimiser,
        text,
        n_steps=40,
        steps_per_call=40,
    )
    assert run.metrics["loss"][0] == pytest.approx(np.log(4), rel=1e-3)
    assert text_loss(run.state.model, text, 20) < 0.05


@pytest.mark.slow
def test_windows_at_the_end_score_nothing_beyond_it():
    text = Text(np.array([1, 2], np.uint8), np.ones(2, bool), np.array([0, 1], np.int32))
    model = Bigram(jnp.zeros((3, 3)))
    objective = TextObjective(window=5, batch_size=64)
    loss, _ = objective(model, jax.random.key(0), *map(jnp.asarray, text))
    assert float(loss) == pytest.approx(np.log(3), rel=1e-5)


def test_batches_are_shared_evenly_or_not_at_all():
    objective = TextObjective(window=5, batch_size=6)
    assert objective.share(2) == TextObjective(window=5, batch_size=3, shared=True)
    assert objective.share(4) is None

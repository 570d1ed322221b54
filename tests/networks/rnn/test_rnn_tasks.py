import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.accuracy import accuracy_along, accuracy_at_end
from onehotglm.networks.rnn.network import make_rnn
from onehotglm.networks.rnn.tasks import TASKS, draw_batch, labels_along, labels_at_end


def answer(task, bits, span):
    """The question in words, for one sequence."""
    if task == "parity":
        return int(sum(bits[-span:])) % 2
    if task == "recall":
        return int(bits[-span])
    return int(bits[-1] == bits[-span])


bit_arrays = st.lists(st.integers(0, 1), min_size=8, max_size=30).map(np.array)


@pytest.mark.parametrize("task", TASKS)
@given(bits=bit_arrays)
@settings(deadline=None, max_examples=30)
def test_labels_answer_the_question(task, bits):
    at_end = np.array(labels_at_end(task, bits[:, None].astype(float), 8))[:, 0]
    for span in range(2, 9):
        along = labels_along(task, bits, span)
        assert at_end[span - 2] == along[-1] == answer(task, bits, span)
        assert along[0] == answer(task, bits[:span], span)


def test_lengths_are_uniform_between_their_bounds():
    keys = jax.random.split(jax.random.key(0), 2000)
    draw = jax.jit(lambda key: draw_batch(key, "parity", 3, max_span=8, batch_size=2).start)
    lengths = 33 - np.array(jax.lax.map(draw, keys))
    assert set(lengths) == set(range(5, 14))
    counts = np.bincount(lengths)[5:]
    assert np.abs(counts - 2000 / 9).max() < 5 * (2000 / 9) ** 0.5


def test_bits_of_parity_have_one_probability_per_sequence_and_others_are_fair():
    key = jax.random.key(1)
    means = {
        task: np.array(draw_batch(key, task, 64, max_span=64, batch_size=2000).inputs).mean(0)
        for task in TASKS
    }
    # A uniform p has variance 1/12, to which the bits add at most 1/4 / n_bins.
    assert means["parity"].var() == pytest.approx(1 / 12, abs=0.01)
    for task in ("dms", "recall"):
        assert means[task].var() == pytest.approx(0.25 / 257, rel=0.1)


@pytest.mark.slow
def test_accuracy_of_an_untrained_network_is_chance():
    network = make_rnn(8)
    assert accuracy_along(network, "parity", 6) == pytest.approx(0.5, abs=0.03)
    right = accuracy_at_end(network, "dms", 5)
    assert right.shape == (1, 4)
    np.testing.assert_allclose(right, 0.5, atol=0.06)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: accuracy_along(n, "sum", 3), "task='sum' is unknown; choose one of parity, dms"),
        (lambda n: accuracy_along(n, "dms", 3, head=1), "head=1, but the network has 1 heads"),
        (lambda n: accuracy_along(n, "dms", 3, n_time_bins=12), "leaves nothing to score"),
        (lambda n: accuracy_at_end(n, "dms", 1), "all tasks begin at span=2"),
        (lambda n: labels_along("dms", np.zeros(2), 3), "stream of 2 bins has no answer"),
    ],
)
def test_wrong_questions_are_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(make_rnn(2))

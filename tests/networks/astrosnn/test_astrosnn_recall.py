"""Delayed recall: its trials, and what is learned from them."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.networks.astrosnn import (
    DelayedRecall,
    make_astro_rnn,
    make_memory_network,
    recall_accuracy,
)
from onehotglm.networks.shared_batch import DEVICE_AXIS
from onehotglm.networks.training import Optimiser, run_steps, start_training

CLEAN = DelayedRecall(
    max_delay=9, batch_size=8, n_items=2, n_channels=2, n_cue_bins=3, n_go_bins=2,
    firing_proba=1.0, background_proba=0.0,
)  # fmt: skip
draw = jax.jit(CLEAN.draw)


@settings(max_examples=10, deadline=None)
@given(delay=st.integers(0, 9), seed=st.integers(0, 99))
def test_trials_have_cue_delay_and_go(delay, seed):
    inputs, start, bits = map(np.asarray, draw(jax.random.key(seed), delay))
    assert inputs.shape == (3 + 9 + 2, 8, CLEAN.n_inputs)
    assert len(inputs) - start == 3 + delay + 2
    groups = inputs.reshape(14, 8, 5, 2)
    np.testing.assert_array_equal(groups[..., 0], groups[..., 1])
    groups = groups[..., 0]
    expected = np.zeros_like(groups)
    expected[start : start + 3, :, :2] = 1 - bits
    expected[start : start + 3, :, 2:4] = bits
    expected[-2:, :, 4] = 1
    np.testing.assert_array_equal(groups, expected)


@pytest.mark.slow
def test_background_comes_at_its_rate():
    task = DelayedRecall(max_delay=400, min_delay=400, background_proba=0.1)
    inputs = np.asarray(task.draw(jax.random.key(0), 400)[0])
    during = inputs[task.n_cue_bins : -task.n_go_bins]
    assert during.mean() == pytest.approx(0.1, abs=0.002)
    assert inputs[: task.n_cue_bins, :, :24].sum() / 64 == pytest.approx(
        task.n_cue_spikes + 0.1 * 12 * task.n_cue_bins, rel=0.03
    )


@pytest.mark.slow
def test_devices_share_a_batch_that_can_be_divided():
    assert CLEAN.share(3) is None
    part = CLEAN.share(2)
    assert (part.batch_size, part.shared) == (4, True)

    network, key = make_astro_rnn(3, n_inputs=CLEAN.n_inputs, n_heads=2), jax.random.key(0)
    losses = jax.jit(jax.vmap(lambda _: part(network, key)[0], axis_name=DEVICE_AXIS))(np.zeros(2))
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_items": 0}, "n_items=0 must be at least 1"),
        ({"min_delay": 11}, "min_delay=11 and max_delay=10"),
        ({"background_proba": 0.6}, "background_proba=0.6 and firing_proba=0.5"),
    ],
)
def test_wrong_tasks_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        DelayedRecall(max_delay=10, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": 0}, "delay=0 must be at least 1 bin"),
        ({"n_cue_spikes": 0}, "n_cue_spikes=0 above 0"),
    ],
)
def test_wrong_memory_networks_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        make_memory_network(**{"n_neurons": 4, "n_inputs": 1, "delay": 5, **options})


def test_delay_must_fit_the_task():
    with pytest.raises(InvalidInputError, match="delay=10, expected 0 to max_delay=9"):
        recall_accuracy(make_astro_rnn(3), CLEAN, 10)


def test_there_is_a_head_per_item():
    network = make_astro_rnn(3, n_inputs=CLEAN.n_inputs)
    with pytest.raises(InvalidInputError, match="has 1 heads for n_items=2 of the task"):
        recall_accuracy(network, CLEAN, 9)
    optimiser = Optimiser()
    with pytest.raises(InvalidInputError, match="has 1 heads for n_items=2 of the task"):
        run_steps(start_training(network, optimiser), CLEAN, optimiser, 5)


@pytest.mark.slow
def test_the_task_is_learned():
    task = DelayedRecall(max_delay=20, min_delay=20, n_items=2)
    optimiser = Optimiser("adam", learning_rate=0.02, clip_norm=1.0)
    network = make_memory_network(
        24, 20, n_inputs=task.n_inputs, n_heads=2, n_cue_spikes=task.n_cue_spikes
    )
    assert recall_accuracy(network, task, 20) == pytest.approx(0.5, abs=0.06)
    state, metrics = run_steps(start_training(network, optimiser), task, optimiser, 600)
    assert metrics["accuracy"][-50:].mean() > 0.95
    assert recall_accuracy(state.model, task, 20) > 0.95

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.accuracy import accuracy_along, accuracy_at_end
from onehotglm.networks.rnn.curriculum import (
    PUBLISHED_OPTIMISER,
    Curriculum,
    TaskObjective,
    run_curriculum,
    train_span,
)
from onehotglm.networks.rnn.network import make_rnn
from onehotglm.networks.rnn.recurrence import run_all
from onehotglm.networks.rnn.tasks import draw_batch
from onehotglm.networks.training import Optimiser, start_training


def test_which_heads_are_asked():
    multi, sliding = Curriculum("multi", max_span=6), Curriculum("sliding", max_span=6, window=2)
    np.testing.assert_array_equal(multi.asked(4), [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(sliding.asked(4), [0, 1, 1, 0, 0])
    np.testing.assert_array_equal(sliding.asked(2), [1, 0, 0, 0, 0])
    np.testing.assert_array_equal(Curriculum("single", max_span=6).asked(4), [1])


@pytest.mark.slow
@pytest.mark.parametrize("task", ["parity", "dms"])
@pytest.mark.parametrize("shared_head", [True, False])
def test_loss_is_the_cross_entropy_of_the_asked_heads(task, shared_head):
    span, n_heads = 4, 1 if shared_head else 9
    network = make_rnn(6, n_heads=n_heads)
    asked = np.zeros(n_heads, np.float32)
    asked[:2] = 1
    key = jax.random.key(5)
    objective = TaskObjective(task, shared_head, max_span=8, batch_size=16)
    loss, metrics = jax.jit(objective)(network, key, jnp.asarray(span), jnp.asarray(asked))

    for_batch, for_state = jax.random.split(key)
    batch = draw_batch(for_batch, task, span, max_span=8, batch_size=16)
    states = network.initial_state(for_state, 16)
    _, activity = run_all(network.dynamics(), states, batch.inputs[int(batch.start) :])
    logits = np.array(network.logits(activity[-1]), dtype=float)
    proba = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    by_hand = 0.0
    for head in np.flatnonzero(asked):
        labels = np.array(batch.labels[span - 2 if shared_head else head])
        by_hand -= np.log(proba[np.arange(16), head, labels]).mean()
        right = (proba[:, head].argmax(axis=-1) == labels).mean()
        assert metrics["accuracy"][head] == pytest.approx(right)
    assert loss == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single", "multi", "sliding"])
def test_each_curriculum_learns(kind):
    curriculum = Curriculum(kind, max_span=3, window=2)
    run = run_curriculum(32, curriculum, n_steps=3000)
    assert run.span == 3
    assert [stage.span for stage in run.stages] == [2, 3]
    assert all(stage.n_steps % 100 == 0 for stage in run.stages)
    assert np.isnan(run.stages[0].accuracy[1:]).all()
    head = 0 if kind == "single" else 1
    assert accuracy_at_end(run.network, "parity", 3)[head, 1] > 0.97
    assert accuracy_along(run.network, "parity", 3, head=head) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["leaky", "gru", "lstm"])
def test_delayed_match_is_learnt_by_each_cell(cell):
    network = make_rnn(32, cell=cell, n_heads=2)
    # Gated cells hardly move at the published rate.
    optimiser = PUBLISHED_OPTIMISER if cell == "leaky" else Optimiser("adam", 3e-3)
    curriculum = Curriculum("multi", "dms", max_span=3)
    assert run_curriculum(network, curriculum, n_steps=2000, optimiser=optimiser).span == 3


@pytest.mark.slow
def test_curriculum_ends_when_the_steps_are_used_up():
    run = run_curriculum(4, Curriculum(max_span=10), n_steps=200, steps_per_call=50)
    assert run.span == 1
    assert [stage.n_steps for stage in run.stages] == [200]
    assert not run.stages[0].passed
    assert int(run.state.n_steps) == 200


def test_threshold_decides_when_the_span_grows():
    easy = Curriculum(threshold=0.3, max_span=3)
    run = run_curriculum(4, easy, n_steps=100, steps_per_call=10)
    assert [stage.n_steps for stage in run.stages] == [10, 10]


@pytest.mark.slow
def test_heads_that_are_not_asked_stay():
    curriculum = Curriculum(max_span=5)
    network = make_rnn(8, n_heads=curriculum.n_heads)
    state = start_training(network, PUBLISHED_OPTIMISER)
    state, _ = train_span(state, curriculum, 3, n_steps=20, steps_per_call=20)
    moved = np.abs(np.array(state.model.w_out - network.w_out)).max(axis=(1, 2))
    assert (moved[:2] > 0).all()
    assert (moved[2:] == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "double"}, "kind='double' is unknown; choose one of single, multi, sliding"),
        ({"task": "sum"}, "task='sum' is unknown"),
        ({"max_span": 1}, "max_span=1, but the tasks begin at span 2"),
        ({"window": 0}, "window=0 and batch_size=256 must be at least 1"),
        ({"threshold": 98}, "threshold=98, but an accuracy between 0 and 1"),
    ],
)
def test_wrong_curricula_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        Curriculum(**options)


def test_network_must_have_the_heads():
    with pytest.raises(InvalidInputError, match="has 1 heads, but this curriculum asks 9"):
        run_curriculum(make_rnn(4), Curriculum(), n_steps=10)


@pytest.mark.slow
def test_devices_share_every_step():
    code = """
        import jax, numpy as np
        from onehotglm.networks.rnn.curriculum import PUBLISHED_OPTIMISER, TaskObjective
        from onehotglm.networks.rnn.network import make_rnn
        from onehotglm.networks.shared_batch import DEVICE_AXIS
        from onehotglm.networks.training import run_steps, start_training

        assert len(jax.devices()) == 2
        whole = TaskObjective("parity", False, 8, 8)
        data = (4, np.ones(3))
        state = start_training(make_rnn(6, n_heads=3), PUBLISHED_OPTIMISER)
        after, metrics = run_steps(state, whole, PUBLISHED_OPTIMISER, 2, data)

        # The two parts of the first step, side by side.
        part = whole.share(2)
        key = jax.random.split(state.key)[1]
        losses, _ = jax.vmap(
            lambda _: part(state.model, key, *data), axis_name=DEVICE_AXIS)(np.zeros(2))
        assert part.batch_size == 4 and losses[0] != losses[1]
        np.testing.assert_allclose(metrics["loss"][0], losses.mean(), rtol=1e-5)
        assert metrics["accuracy"].shape == (2, 3) and after.n_steps == 2

        # A batch that cannot be divided stays on one device.
        odd = TaskObjective("parity", False, 8, 7)
        assert odd.share(2) is None
        run_steps(state, odd, PUBLISHED_OPTIMISER, 2, data)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "2"},
    )
    assert done.returncode == 0, done.stderr

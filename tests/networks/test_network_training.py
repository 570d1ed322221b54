from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.networks.training import (
    EarlyStopping,
    Optimiser,
    load_training,
    run_steps,
    save_training,
    start_training,
    train,
)


class Line(eqx.Module):
    slope: jax.Array
    offset: jax.Array
    label: str = eqx.field(static=True, default="line")


class Points(NamedTuple):
    x: jax.Array
    y: jax.Array


def squared_error(line, key, points):
    index = jax.random.randint(key, (8,), 0, len(points.x))
    error = line.slope * points.x[index] + line.offset - points.y[index]
    return jnp.mean(error**2), {"bias": error.mean()}


@pytest.fixture
def points():
    x = jnp.linspace(-1, 1, 50)
    return Points(x, 3 * x + 1)


@pytest.fixture
def line():
    return Line(jnp.zeros(()), jnp.zeros(()))


ADAM = Optimiser("adam", learning_rate=0.05)


@pytest.mark.parametrize(
    "optimiser", [ADAM, Optimiser("sgd", learning_rate=0.1, momentum=0.5)], ids=lambda o: o.name
)
def test_training_finds_the_line(line, points, optimiser):
    run = train(start_training(line, optimiser), squared_error, optimiser, (points,), n_steps=600)
    assert run.state.model.slope == pytest.approx(3, abs=0.02)
    assert run.state.model.offset == pytest.approx(1, abs=0.02)
    assert run.stop_reason == "n_steps"
    assert run.metrics["loss"].shape == run.metrics["bias"].shape == (600,)


def test_nesterov_momentum_and_clipping_by_hand():
    # Loss 5 slope: the gradient is always 5, clipped to 2.
    optimiser = Optimiser("sgd", learning_rate=0.1, momentum=0.5, clip_norm=2.0)
    state = start_training(Line(jnp.zeros(()), jnp.zeros(())), optimiser)
    state, _ = run_steps(state, lambda line, key: (5 * line.slope, {}), optimiser, 2)
    # Step 1: velocity 2, moves 2 + 0.5 * 2; step 2: velocity 3, moves 2 + 0.5 * 3.
    assert state.model.slope == pytest.approx(-0.1 * (3 + 3.5))


def test_weight_decay_shrinks_matrices_only():
    optimiser = Optimiser("sgd", learning_rate=0.1, weight_decay=0.5)
    state = start_training(Line(jnp.ones((2, 2)), jnp.ones(2)), optimiser)
    state, _ = run_steps(state, lambda line, key: (0 * line.slope.sum(), {}), optimiser, 1)
    np.testing.assert_allclose(state.model.slope, 1 - 0.1 * 0.5)
    np.testing.assert_array_equal(state.model.offset, 1)


def test_seed_sets_the_batches(line, points):
    def loss(random_state):
        state = start_training(line, ADAM, random_state)
        return run_steps(state, squared_error, ADAM, 5, (points,))[1]["loss"]

    np.testing.assert_array_equal(loss(1), loss(1))
    assert not np.array_equal(loss(1), loss(2))


def test_calls_of_any_size_give_the_same_training(line, points):
    start = start_training(line, ADAM)
    train_it = partial(train, start, squared_error, ADAM, (points,), n_steps=70)
    whole, cut = train_it(steps_per_call=70), train_it(steps_per_call=30)
    np.testing.assert_allclose(whole.metrics["loss"], cut.metrics["loss"], rtol=1e-5)


def test_checkpoint_goes_on_where_it_was(line, points, tmp_path):
    start = start_training(line, ADAM)
    path = tmp_path / "runs" / "line.npz"
    whole = train(start, squared_error, ADAM, (points,), n_steps=40)
    train(start, squared_error, ADAM, (points,), n_steps=20, checkpoint=path)
    half = load_training(path, start)
    assert half.n_steps == 20
    rest = train(half, squared_error, ADAM, (points,), n_steps=20)
    np.testing.assert_allclose(rest.metrics["loss"], whole.metrics["loss"][20:], rtol=1e-5)


def test_checkpoint_of_another_network_is_refused(line, tmp_path):
    save_training(tmp_path / "line.npz", start_training(line, ADAM))
    other = start_training(Line(jnp.zeros(3), jnp.zeros(())), ADAM)
    with pytest.raises(DataFileError, match=r"holds \(\) for .*slope, expected \(3,\)"):
        load_training(tmp_path / "line.npz", other)
    with pytest.raises(DataFileError, match="cannot be read as a checkpoint"):
        load_training(tmp_path / "none.npz", other)


def test_early_stopping_keeps_the_best_state(line, points):
    scores = iter([1.0, 3.0, 2.0, 2.5, 9.0])
    rule = EarlyStopping(lambda line: next(scores), patience=2)
    run = train(
        start_training(line, ADAM),
        squared_error,
        ADAM,
        (points,),
        n_steps=50,
        steps_per_call=10,
        stop=rule,
    )
    assert run.stop_reason == "held-out score"
    assert run.state.n_steps == 40
    assert rule.best_.n_steps == 20
    assert rule.scores_ == [1.0, 3.0, 2.0, 2.5]


def test_small_gains_do_not_count(line, points):
    scores = iter([1.0, 1.05, 1.09, 2.0])
    rule = EarlyStopping(lambda line: next(scores), patience=2, min_gain=0.1)
    run = train(
        start_training(line, ADAM),
        squared_error,
        ADAM,
        (points,),
        n_steps=40,
        steps_per_call=10,
        stop=rule,
    )
    assert run.state.n_steps == 30
    assert rule.best_.n_steps == 10


def test_second_training_of_the_same_shapes_traces_nothing(line, points):
    traces = []

    def counted(line, key, points):
        traces.append(1)
        return squared_error(line, key, points)

    for random_state in (0, 1):
        state = start_training(line, Optimiser("adam", 0.05), random_state)
        train(state, counted, Optimiser("adam", 0.05), (points,), n_steps=20, steps_per_call=10)
    assert len(traces) == 1


def test_progress_bar_shows_steps_and_loss(line, points, capsys):
    train(start_training(line, ADAM), squared_error, ADAM, (points,), n_steps=20, progress=True)
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert "loss=" in shown


def test_unknown_optimiser_is_named(line):
    with pytest.raises(InvalidInputError, match="'lion' is unknown; choose one of adam, sgd"):
        start_training(line, Optimiser("lion"))

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import ConvergenceWarning, DataFileError, InvalidInputError
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


def test_an_interrupted_training_goes_on(line, points, tmp_path):
    path, start = tmp_path / "line.npz", start_training(line, ADAM)
    calls = iter(range(9))

    def interrupt(state, metrics):
        if next(calls) == 2:
            raise KeyboardInterrupt

    options = {"steps_per_call": 10, "checkpoint": path}
    with pytest.raises(KeyboardInterrupt):
        train(start, squared_error, ADAM, (points,), n_steps=50, stop=interrupt, **options)
    state = load_training(path, start)
    assert state.n_steps == 30
    whole = train(start, squared_error, ADAM, (points,), n_steps=50, steps_per_call=10)
    rest = train(state, squared_error, ADAM, (points,), n_steps=20, **options)
    np.testing.assert_array_equal(rest.state.model.slope, whole.state.model.slope)
    # Nothing is left to do: the script that goes on may be run once more.
    done = train(load_training(path, start), squared_error, ADAM, (points,), n_steps=0, **options)
    assert (done.metrics, done.state.n_steps) == ({}, 50)


def test_a_longer_training_is_not_overwritten(line, points, tmp_path):
    path, start = tmp_path / "line.npz", start_training(line, ADAM)
    train(start, squared_error, ADAM, (points,), n_steps=20, checkpoint=path)
    with pytest.raises(InvalidInputError, match="holds a training of 20 steps and would be"):
        train(start, squared_error, ADAM, (points,), n_steps=20, checkpoint=path)
    assert load_training(path, start).n_steps == 20


def test_a_checkpoint_that_cannot_be_written_costs_no_training(line, points, tmp_path):
    (tmp_path / "file").write_text("no folder")
    calls = []
    with pytest.raises(OSError, match="file"):
        train(
            start_training(line, ADAM),
            lambda *data: calls.append(1) or squared_error(*data),
            ADAM,
            (points,),
            n_steps=20,
            checkpoint=tmp_path / "file" / "line.npz",
        )
    assert not calls


def test_a_training_that_diverges_keeps_what_was_finite(line, points, tmp_path):
    path = tmp_path / "line.npz"

    def breaks(line, key, n_before):
        finite = jnp.where(line.offset < n_before, 0, jnp.nan)
        return (line.slope - 1) ** 2 - line.offset + jax.lax.stop_gradient(finite), {}

    sgd = Optimiser("sgd", learning_rate=1.0)  # the offset counts the steps
    start = start_training(line, sgd)
    with pytest.warns(ConvergenceWarning, match="the loss is .* after 25 steps"):
        run = train(start, breaks, sgd, (25,), n_steps=50, steps_per_call=10, checkpoint=path)
    assert run.stop_reason == "loss not finite"
    assert run.state.n_steps == load_training(path, start).n_steps == 20
    assert np.isfinite(run.state.model.slope)
    assert len(run.metrics["loss"]) == 30


@pytest.mark.parametrize("options", [{"n_steps": -1}, {"n_steps": 5, "steps_per_call": 0}])
def test_wrong_numbers_of_steps_are_named(line, points, options):
    with pytest.raises(InvalidInputError, match=r"steps\S*=\S+, but it must be at least"):
        train(start_training(line, ADAM), squared_error, ADAM, (points,), **options)


def test_checkpoint_of_another_network_is_refused(line, tmp_path):
    save_training(tmp_path / "line.npz", start_training(line, ADAM))
    other = start_training(Line(jnp.zeros(3), jnp.zeros(())), ADAM)
    with pytest.raises(DataFileError, match=r"holds \(\) for .*slope, expected \(3,\)"):
        load_training(tmp_path / "line.npz", other)
    with pytest.raises(DataFileError, match="cannot be read as a checkpoint"):
        load_training(tmp_path / "none.npz", other)
    # What the file has too much would be dropped: astrocytes, or the moments of Adam.
    plain = start_training(line, Optimiser("sgd"))
    with pytest.raises(DataFileError, match=r"holds \(\) for .moments.*, expected nothing"):
        load_training(tmp_path / "line.npz", plain)


@pytest.mark.parametrize("n_bytes", [0, 100, 1200])
def test_damaged_checkpoint_is_named(line, tmp_path, n_bytes):
    start = start_training(line, ADAM)
    save_training(tmp_path / "line.npz", start)
    content = (tmp_path / "line.npz").read_bytes()
    (tmp_path / "line.npz").write_bytes(content[:n_bytes])
    with pytest.raises(DataFileError, match="cannot be read as a checkpoint"):
        load_training(tmp_path / "line.npz", start)


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "lion"}, "'lion' is unknown; choose one of adam, sgd"),
        ({"learning_rate": 0.0}, "learning_rate=0.0, expected a number above 0"),
        ({"learning_rate": np.nan}, "learning_rate=nan"),
        ({"clip_norm": -1.0}, "clip_norm=-1.0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1, expected at least 0"),
        ({"momentum": 0.9}, "momentum=0.9 of 'adam', expected 0"),
        ({"name": "sgd", "momentum": 1.0}, "momentum=1.0 of 'sgd'"),
    ],
)
def test_wrong_optimisers_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        Optimiser(**options)

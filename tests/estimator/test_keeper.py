"""Fits that are broken off and resumed end as if nothing had happened."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onehotglm import DataFileError, InvalidInputError, OneHotHMMGLM
from onehotglm.estimator import keeper
from onehotglm.estimator.monitor import Monitor
from tests.estimator.conftest import quietly_fit

ROOT = Path(__file__).resolve().parents[2]
RESULTS = (
    "weights_",
    "bias_",
    "transition_matrix_",
    "initial_proba_",
    "occupancy_",
    "connection_type_proba_",
    "shared_type_proba_",
    "shared_connectivity_",
    "neuron_sign_proba_",
    "log_likelihood_path_",
    "objective_path_",
    "n_parameters_",
    "stop_reason_",
)


class CrashError(Exception):
    """Stands in for whatever ends a process."""


def results(model: OneHotHMMGLM) -> dict[str, bytes | str]:
    found = {name: getattr(model, name) for name in RESULTS}
    return {
        n: x if isinstance(x, str | None) else np.asarray(x).tobytes() for n, x in found.items()
    }


@pytest.fixture
def crash_after(monkeypatch):
    """Let the process end after so many EM steps; None: never again."""
    left: list[int | None] = [None]
    call, bound = Monitor.__call__, Monitor.watch_bound

    def count():
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:  # the step is done, but not yet kept
                raise CrashError

    def step(self, state):
        stop = call(self, state)
        count()
        return stop

    def block(self, state):
        stop = bound(self, state)
        count()
        return stop

    monkeypatch.setattr(Monitor, "__call__", step)
    monkeypatch.setattr(Monitor, "watch_bound", block)

    def set_steps(steps: int | None) -> None:
        left[0] = steps

    return set_steps


def model_with(**options) -> OneHotHMMGLM:
    return OneHotHMMGLM(**{"n_states": 2, "n_init": 2, "progress": False} | options)


def broken_off(spikes, path, crash_after, steps, **options):
    crash_after(steps)
    with pytest.raises(CrashError):
        quietly_fit(model_with(checkpoint=path, resume=True, **options), spikes)
    crash_after(None)


@pytest.mark.parametrize(
    "options",
    [
        {"prior": "one-hot"},
        {"prior": "gaussian", "dale": "infer"},
        pytest.param({"prior": "none", "n_init": 1}, marks=pytest.mark.slow),
        pytest.param({"prior": "one-hot", "dale": "infer"}, marks=pytest.mark.slow),
        pytest.param({"prior": "one-hot", "dtype": "float64"}, marks=pytest.mark.slow),
        pytest.param(
            {"prior": "one-hot", "observation": "negative_binomial", "link": "exp"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"prior": "one-hot", "basis": "lags", "kernel": "shared", "smoothness": 10.0},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"prior": "gaussian", "self_history": "shared", "bias": "shared"},
            marks=pytest.mark.slow,
        ),
        *(
            pytest.param({"prior": prior, "method": "vi", "max_iter": 12}, marks=pytest.mark.slow)
            for prior in ("gaussian", "one-hot")
        ),
    ],
    ids=str,
)
def test_a_fit_broken_off_anywhere_ends_the_same(spikes, tmp_path, crash_after, options):
    alone = quietly_fit(model_with(**options), spikes)
    path, rng, crashes = tmp_path / "fit.ckpt", np.random.default_rng(0), 0
    while True:
        crash_after(int(rng.integers(1, 9)))
        model = model_with(checkpoint=path, resume=True, **options)
        try:
            quietly_fit(model, spikes)
        except CrashError:
            crashes += 1
            continue
        break
    assert crashes
    assert results(model) == results(alone)
    assert list(tmp_path.iterdir()) == [path]
    # The file of an ended fit gives it back without a step.
    crash_after(0)
    again = quietly_fit(model_with(checkpoint=path, resume=True, **options), spikes)
    assert results(again) == results(alone)


def test_an_interrupt_leaves_the_file_to_go_on_from(spikes, tmp_path, monkeypatch):
    path, call, n_steps = tmp_path / "fit.ckpt", Monitor.__call__, []

    def step(self, state):
        n_steps.append(1)
        if len(n_steps) == 25:
            signal.raise_signal(signal.SIGINT)
        return call(self, state)

    monkeypatch.setattr(Monitor, "__call__", step)
    stopped = quietly_fit(model_with(checkpoint=path), spikes)
    assert stopped.stop_reason_ == "interrupted"
    monkeypatch.undo()
    resumed = quietly_fit(model_with(checkpoint=path, resume=True), spikes)
    assert results(resumed) == results(quietly_fit(model_with(), spikes))


def test_a_checkpoint_of_another_fit_is_refused(spikes, tmp_path, crash_after, monkeypatch):
    path = tmp_path / "fit.ckpt"
    broken_off(spikes, path, crash_after, 3)
    other = spikes.copy()
    other[0, 7, 1] += 1
    fit = {"checkpoint": path, "resume": True}
    with pytest.raises(DataFileError, match="of another fit: other data"):
        model_with(**fit).fit(other)
    with pytest.raises(DataFileError, match=r"another fit: ridge=1\.0 there and 2\.0 here"):
        model_with(ridge=2.0, **fit).fit(spikes)
    with pytest.raises(DataFileError, match="random_state=0 there and 1 here"):
        model_with(random_state=1, **fit).fit(spikes)
    with monkeypatch.context() as patch:
        patch.setattr(keeper, "__version__", "99")
        with pytest.raises(DataFileError, match=r"\(format 1\); this is 99 \(format 1\)"):
            model_with(**fit).fit(spikes)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataFileError, match="is damaged or is no checkpoint"):
        model_with(**fit).fit(spikes)


def test_what_would_be_lost_is_not_overwritten(spikes, tmp_path, crash_after):
    path = tmp_path / "fit.ckpt"
    broken_off(spikes, path, crash_after, 3)
    with pytest.raises(DataFileError, match="a fit that has not ended; pass resume=True"):
        model_with(checkpoint=path).fit(spikes)
    quietly_fit(model_with(checkpoint=path, resume=True), spikes)
    quietly_fit(model_with(checkpoint=path, prior="none"), spikes)  # that one has ended
    recording = tmp_path / "recording.nwb"
    recording.write_text("precious")
    with pytest.raises(DataFileError, match="is no checkpoint"):
        model_with(checkpoint=recording).fit(spikes)
    assert recording.read_text() == "precious"


def test_random_starts_of_a_generator_are_gone_on_with(spikes, tmp_path, crash_after):
    path = tmp_path / "fit.ckpt"
    alone = quietly_fit(model_with(random_state=np.random.default_rng(3)), spikes)
    crash_after(4)
    first = model_with(random_state=np.random.default_rng(3), checkpoint=path)
    with pytest.raises(CrashError):
        quietly_fit(first, spikes)
    crash_after(None)
    later = model_with(random_state=np.random.default_rng(8), checkpoint=path, resume=True)
    assert results(quietly_fit(later, spikes)) == results(alone)


def test_leftovers_of_killed_processes_are_removed(spikes, tmp_path):
    (tmp_path / ".fit.ckpt.123.part.ckpt").write_text("half")
    (tmp_path / ".other.ckpt.123.part.ckpt").write_text("not ours")
    quietly_fit(model_with(prior="none", checkpoint=tmp_path / "fit.ckpt"), spikes)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".other.ckpt.123.part.ckpt", "fit.ckpt"]


def test_disk_is_waited_for_as_often_as_it_costs_little(spikes, tmp_path, monkeypatch):
    from onehotglm.io import tree

    waited, save = [], tree.save_tree

    def spy(*args, durable, **options):
        waited.append(durable)
        save(*args, durable=durable, **options)

    monkeypatch.setattr(tree, "save_tree", spy)
    monkeypatch.setattr(keeper, "_WAITING", 0.0)
    quietly_fit(model_with(prior="none", checkpoint=tmp_path / "a"), spikes)
    assert waited[-1]  # the end is on the disk
    assert sum(waited) <= 2
    waited.clear()
    monkeypatch.setattr(keeper, "_WAITING", np.inf)
    quietly_fit(model_with(prior="none", checkpoint=tmp_path / "b"), spikes)
    assert sum(waited) >= len(waited) - 1


def test_settings_that_make_no_sense():
    data = np.ones((20, 2))
    with pytest.raises(InvalidInputError, match="resume=True needs the file to go on from"):
        model_with(resume=True).fit(data)
    with pytest.raises(InvalidInputError, match="checkpoint=3; expected the path of a file"):
        model_with(checkpoint=3).fit(data)
    with pytest.raises(InvalidInputError, match="resume='yes'; choose one of"):
        model_with(checkpoint="x", resume="yes").fit(data)


def test_results_do_not_know_of_the_file(spikes, tmp_path):
    model = quietly_fit(model_with(prior="none", checkpoint=tmp_path / "fit.ckpt"), spikes)
    loaded = OneHotHMMGLM.load(model.save(tmp_path / "fit.nc"))
    assert (loaded.checkpoint, loaded.resume) == (None, False)


@pytest.mark.slow
def test_a_variational_fit_knows_its_own_checkpoint(spikes, tmp_path, crash_after):
    path = tmp_path / "fit.ckpt"
    options = {"method": "vi", "prior": "one-hot", "max_iter": 6}
    broken_off(spikes, path, crash_after, 12, **options)
    with pytest.raises(DataFileError, match="guide='structured' there and 'mean_field' here"):
        model_with(checkpoint=path, resume=True, **options, guide="mean_field").fit(spikes)
    with pytest.raises(DataFileError, match="method='vi' there and 'em' here"):
        model_with(checkpoint=path, resume=True, **options | {"method": "em"}).fit(spikes)
    with pytest.raises(DataFileError, match="other data"):
        model_with(checkpoint=path, resume=True, **options).fit(spikes + 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["em", "vi"])
def test_thirty_kills_change_nothing(method):
    script = ROOT / "benchmarks" / "kill_and_resume.py"
    command = [sys.executable, str(script), "--size", "small", "--kills", "30", "--method", method]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none, to the last bit" in done.stdout

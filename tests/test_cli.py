"""The command line as a user meets it: help, messages, files."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from onehotglm import OneHotHMMGLM, workflow
from onehotglm.cli import _LINKS, main
from onehotglm.errors import DataFileError
from onehotglm.estimator.monitor import Monitor
from onehotglm.io import load_dataset
from onehotglm.kernels.emissions import LINKS

SMALL = (
    *("--n-neurons", "5", "--n-states", "2", "--n-sessions", "6"),
    *("--session-length", "6", "--mean-rate", "15"),
)


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "recording.nwb"
    result = run("simulate", "--out", path, *SMALL)
    assert result.exit_code == 0, result.output
    return path


def test_every_link_can_be_chosen() -> None:
    assert set(_LINKS) == set(LINKS)


@pytest.mark.parametrize(
    "command", [(), ("demo",), ("fit",), ("compare",), ("simulate",), ("info",)]
)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "--debug" in result.output
    assert len(result.output) > 300


def test_help_of_the_program_lists_its_commands() -> None:
    output = run("--help").output
    assert all(f"\n  {name} " in output for name in ("compare", "demo", "fit", "info", "simulate"))


def test_version() -> None:
    assert run("--version").output.startswith("onehotglm, version ")


@pytest.mark.slow
def test_simulate_says_what_it_wrote(tmp_path: Path) -> None:
    result = run("simulate", "--out", tmp_path / "new" / "a.nwb", *SMALL)
    assert "5 neurons at " in result.output
    assert "6 sessions of 6 s, 2 states" in result.output
    assert (tmp_path / "new" / "a.nwb").is_file()


def test_info_lists_units_and_epochs(recording: Path) -> None:
    output = run("info", recording).output
    assert "Units: 5" in output
    assert "epochs session" in output


@pytest.mark.parametrize("command", ["info", "fit"])
def test_a_missing_file_is_one_line_and_exit_code_2(command: str, tmp_path: Path) -> None:
    arguments = ("--out", tmp_path) if command == "fit" else ()
    result = run(command, tmp_path / "absent.nwb", *arguments)
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert "absent.nwb" in result.output


def test_an_unknown_epoch_lists_those_that_exist(recording: Path, tmp_path: Path) -> None:
    result = run("fit", recording, "--epochs", "sleep", "--out", tmp_path)
    assert result.exit_code == 2
    assert "sleep" in result.output
    assert "session" in result.output


@pytest.mark.parametrize("flag_first", [True, False])
def test_debug_shows_the_error_itself(flag_first: bool, tmp_path: Path) -> None:
    command = ("info", tmp_path / "absent.nwb")
    result = run("--debug", *command) if flag_first else run(*command, "--debug")
    assert isinstance(result.exception, DataFileError)


def test_the_result_folder_is_checked_before_the_recording_is_read(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = run("fit", tmp_path / "absent.nwb", "--out", tmp_path / "taken")
    assert result.exit_code == 2
    assert "cannot write into the folder" in result.output


def test_unit_ids_must_be_numbers(recording: Path) -> None:
    result = run("fit", recording, "--units", "0,b")
    assert result.exit_code == 2
    assert "no list of unit ids" in result.output


def test_too_few_sessions_to_hold_one_out(recording: Path, tmp_path: Path) -> None:
    result = run("fit", recording, "--session-length", "0", "--out", tmp_path)
    assert result.exit_code == 2
    assert "hold out every 5th of 1 sessions" in result.output
    assert "0 to hold out none" in result.output


FILES = ("fit.nc", "states.csv", "report.html", "couplings.png", "prediction.png")


@pytest.mark.slow
def test_fit_writes_the_result_folder(recording: Path, tmp_path: Path) -> None:
    options = ("--prior", "none", "--n-states", "2", "--n-init", "1", "--session-length", "4")
    result = run("fit", recording, *options, "--epochs", "session", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert all((tmp_path / name).stat().st_size > 1000 for name in FILES)
    assert (tmp_path / "fit_one_state.nc").is_file()
    model = OneHotHMMGLM.load(tmp_path / "fit.nc")
    assert (model.n_states, model.prior, model.n_init) == (2, "none", 1)
    states = pd.read_csv(tmp_path / "states.csv")
    assert len(states) == 6 * 6 / 0.02
    assert sorted(states.loc[states["held_out"], "session"].unique()) == [2, 7]
    assert "over one state" in result.output


@pytest.mark.slow
def test_number_of_states_is_chosen(recording: Path, tmp_path: Path) -> None:
    options = ("--prior", "none", "--max-states", "2", "--n-init", "1", "--session-length", "4")
    result = run("fit", recording, *options, "--epochs", "session", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "n_states.csv", index_col="n_states")
    assert table.index.tolist() == [1, 2]
    chosen = OneHotHMMGLM.load(tmp_path / "fit.nc").n_states
    assert f"one-se: {chosen}" in result.output
    assert (tmp_path / "n_states.png").stat().st_size > 1000


@pytest.mark.slow
def test_options_of_fit_reach_the_model(recording: Path, tmp_path: Path) -> None:
    options = ("--prior", "gaussian", "--n-states", "1", "--n-init", "2", "--link", "exp")
    history = ("--n-lags", "4", "--basis", "raised_cosine", "--n-basis", "2")
    rest = ("--holdout", "0", "--units", "0,3,4", "--random-state", "7", "--bin-size", "0.05")
    result = run("fit", recording, *options, *history, *rest, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    fit = OneHotHMMGLM.load(tmp_path / "fit.nc").to_dataset()
    expected = {
        "prior": "gaussian",
        "n_init": 2,
        "link": "exp",
        "n_lags": 4,
        "basis": "raised_cosine",
        "n_basis": 2,
        "random_state": 7,
        "bin_size": 0.05,
    }
    assert {name: fit.attrs[name] for name in expected} == expected
    assert fit["neuron"].values.tolist() == [0, 3, 4]
    assert "No session was held out" in (tmp_path / "report.html").read_text()


def test_compare_writes_its_folder(recording: Path, tmp_path: Path) -> None:
    options = ("--decoders", "homogeneous", "--session-length", "2", "--holdout", "3")
    result = run("compare", recording, "--epochs", "session", *options, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["name"].tolist() == ["homogeneous"]
    assert "base_rate" in table  # the file knows its wiring
    comparison = load_dataset(tmp_path / "comparison.nc", "comparison")
    assert comparison["bits_per_spike"].sizes["session"] == 6
    assert "Prediction of held-out blocks" in (tmp_path / "report.html").read_text()
    assert "report.html" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--decoders", "glm,perceptron"), "'perceptron' is unknown; choose from homogeneous"),
        (("--holdout", "0"), "holdout=0, expected at least 2"),
        (("--session-length", "0"), "hold out every 5th of 1 sessions"),
        (("--session-length", "100"), "no session lasts a whole block of 100 s"),
    ],
)
def test_compare_names_what_is_wrong(
    recording: Path, tmp_path: Path, options: tuple[str, str], message: str
) -> None:
    result = run("compare", recording, *options, "--out", tmp_path)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("Error: ") == 1


def test_compare_checks_its_folder_first(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = run("compare", tmp_path / "absent.nwb", "--out", tmp_path / "taken")
    assert result.exit_code == 2
    assert "cannot write into the folder" in result.output


@pytest.mark.slow
def test_compare_takes_its_options_to_the_decoders(recording: Path, tmp_path: Path) -> None:
    options = ("--decoders", "glm,hmm-glm", "--n-states", "2", "--session-length", "2")
    result = run("compare", recording, *options, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    readings = load_dataset(tmp_path / "comparison.nc")["reading"].values.tolist()
    assert readings == ["glm", "glm, couplings", "hmm-glm", "hmm-glm, couplings", "hmm-glm, shared"]
    assert "more than hmm-glm" in result.output


@pytest.mark.slow
def test_demo_recovers_what_it_simulated(tmp_path: Path) -> None:
    result = run("demo", "--out", tmp_path, "--n-neurons", "12", "--n-init", "2")
    assert result.exit_code == 0, result.output
    assert all((tmp_path / name).stat().st_size > 1000 for name in FILES)
    assert (tmp_path / "recording.nwb").is_file()
    for words in ("one-hot", "state_accuracy", "true parameters: ", "report.html"):
        assert words in result.output
    page = (tmp_path / "report.html").read_text()
    assert "Comparison with the truth" in page


@pytest.mark.slow
def test_a_real_recording_end_to_end(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    file = shared_data("wmaze.nwb")
    begin = time.process_time()  # all threads; the wall clock depends on what else runs
    options = ("--bin-size", "0.02", "--epochs", "run", "--n-states", "5")
    result = run("fit", file, *options, "--out", tmp_path)
    seconds = time.process_time() - begin
    assert result.exit_code == 0, result.output
    assert all((tmp_path / name).stat().st_size > 1000 for name in FILES)
    one_state, *others = re.findall(
        r"^ *(?:one state|none|gaussian|one-hot) +(\S+)", result.output, re.M
    )
    assert len(others) == 3
    assert min(map(float, others)) > float(one_state) + 0.03
    assert seconds < 180


@pytest.mark.slow
def test_a_run_that_ended_early_is_gone_on_with(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--prior", "none", "--n-init", "1", "--session-length", "4", "--resume")
    command = ("fit", recording, *options, "--epochs", "session", "--out", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(workflow, "write_results", lambda *_, **__: 1 / 0)
        assert isinstance(run(*command).exception, ZeroDivisionError)
    kept = {path.name for path in tmp_path.glob("*.ckpt")}
    assert kept == {"fit_one_state.ckpt", "fit_none.ckpt"}
    other = run(*command, "--n-lags", "3")
    assert other.exit_code == 2
    assert "n_lags=5 there and 3 here" in other.output
    with monkeypatch.context() as patch:  # not a step more
        patch.setattr(Monitor, "__call__", lambda *_: 1 / 0)
        assert run(*command).exit_code == 0
    assert not list(tmp_path.glob("*.ckpt"))

"""The command line as a user meets it: help, messages, files."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from onehotglm.cli import main
from onehotglm.errors import DataFileError

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


@pytest.mark.parametrize("command", [(), ("demo",), ("fit",), ("simulate",), ("info",)])
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "--debug" in result.output
    assert len(result.output) > 300


def test_help_of_the_program_lists_its_commands() -> None:
    output = run("--help").output
    assert all(f"\n  {name} " in output for name in ("demo", "fit", "info", "simulate"))


def test_version() -> None:
    assert run("--version").output.startswith("onehotglm, version ")


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

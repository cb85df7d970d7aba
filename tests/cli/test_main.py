import subprocess
import sys

import pytest
from click.testing import CliRunner

from allkit.cli.main import COMMANDS, cli


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "allkit", *words], capture_output=True, text=True)


def test_help_lists_every_command():
    printed = run("--help").stdout
    assert all(name in printed for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "allkit " + name in result.output.split("Example", 1)[1]


def test_a_foreseen_failure_is_one_message_without_a_traceback_and_status_2(tmp_path):
    done = run("train", "--data", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "nowhere is not a folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistyped_command_is_answered_with_the_one_that_was_meant():
    result = CliRunner().invoke(cli, ["clasify", "folder"])
    assert result.exit_code == 2
    assert "No such command 'clasify'. Did you mean classify?" in result.output
    assert "Did you mean" not in CliRunner().invoke(cli, ["xyz"]).output


def test_wrong_usage_is_status_2_and_an_unknown_command_is_named():
    assert run("train", "--epochs", "many").returncode == 2
    done = run("diagnose")
    assert done.returncode == 2
    assert "diagnose" in done.stderr

"""`allkit data audit`."""

import json
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from allkit.cli.audit import audit
from allkit.data.duplicates import NEAR_THRESHOLD
from allkit.data.protocol import BLOCK_LENGTH
from allkit.errors import AllkitError
from trees import make_tree


def run(*arguments):
    return CliRunner().invoke(audit, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "set", {"A": 12, "B": 12})


def test_a_sound_set_gives_tables_words_and_status_0(tree):
    result = run(tree)
    assert result.exit_code == 0
    assert "24 images" in result.stdout
    assert "A 12, B 12" in result.stdout
    assert "colour histogram" in result.stdout
    assert "What it means" in result.stdout
    assert "Research use" in result.stdout


def test_an_unreadable_image_is_named_and_gives_status_1(tree):
    (tree / "A/broken.png").write_bytes(b"nothing")
    result = run(tree)
    assert result.exit_code == 1
    assert "A/broken.png: not a readable image" in result.stdout


def test_a_duplicate_across_classes_is_named_and_gives_status_1(tree):
    shutil.copy(tree / "A/A-1.png", tree / "B/B-99.png")
    result = run(tree)
    assert result.exit_code == 1
    assert "A/A-1.png = B/B-99.png" in result.stdout


def test_a_duplicate_within_a_class_is_no_error(tree):
    shutil.copy(tree / "A/A-1.png", tree / "A/A-99.png")
    assert run(tree).exit_code == 0


def test_json_to_stdout_replaces_the_tables(tree):
    (tree / "A/broken.png").write_bytes(b"nothing")
    result = run(tree, "--json", "--seed", 3, "--near-threshold", 7, "--block-length", 5)
    record = json.loads(result.stdout)
    assert (record["seed"], record["near_threshold"], record["block_length"]) == (3, 7, 5)
    assert list(record["unreadable"]) == ["A/broken.png"]
    assert result.exit_code == 1


def test_json_and_html_go_to_files_beside_the_tables(tree, tmp_path):
    result = run(tree, "--json", tmp_path / "out/audit.json", "--html", tmp_path / "out/audit.html")
    assert json.loads((tmp_path / "out/audit.json").read_text())["counts"] == {"A": 12, "B": 12}
    assert (tmp_path / "out/audit.html").read_text().startswith("<!doctype html>")
    assert "What it means" in result.stdout
    assert f"wrote {tmp_path / 'out/audit.html'}" in result.stderr


def test_nothing_but_the_result_goes_to_stdout(tree):
    assert "reading" not in run(tree).stdout


def test_names_are_not_taken_for_markup(tree):
    (tree / "A/[red]x.png").write_bytes(b"nothing")
    assert "A/[red]x.png: not a readable image" in run(tree).stdout


def test_many_faults_are_cut_short_and_counted(tree):
    for i in range(13):
        (tree / f"A/broken-{i:02d}.png").write_bytes(b"nothing")
    output = run(tree).stdout
    assert "A/broken-09.png" in output
    assert "A/broken-10.png" not in output
    assert "and 3 more; --json lists all" in output


def test_the_folder_may_come_from_the_environment(tree, monkeypatch):
    monkeypatch.setenv("ALLKIT_DATA", str(tree))
    assert run().exit_code == 0


def test_a_wrong_path_is_a_foreseen_failure(tmp_path):
    with pytest.raises(AllkitError, match="is not a folder"):
        run(tmp_path / "missing")


def test_defaults_are_those_of_the_library():
    defaults = {option.name: option.default for option in audit.params}
    assert (defaults["near_threshold"], defaults["block_length"]) == (NEAR_THRESHOLD, BLOCK_LENGTH)


def test_help_loads_neither_opencv_nor_rich():
    code = (
        "import sys, allkit.cli.audit as module; module.audit.main(['--help'], standalone_mode=False); "
        "sys.exit(bool({'cv2', 'numpy', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0

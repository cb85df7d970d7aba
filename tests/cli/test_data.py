"""`allkit data synth` and `allkit data download`."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from allkit.cli.data import data
from allkit.data import download
from allkit.errors import AllkitError


def run(*arguments):
    return CliRunner().invoke(data, [str(argument) for argument in arguments], catch_exceptions=False)


def test_synth_draws_the_files_and_says_what_to_type_next(tmp_path):
    folder = tmp_path / "my smears"
    result = run("synth", folder, "--per-class", 2, "--size", 32)
    assert result.exit_code == 0
    assert len(list(folder.rglob("*.jpg"))) == 8
    assert f"drew 8 smears in {folder}: 2 each of Benign, Early, Pre, Pro\n" in result.stdout
    assert (
        f"next: allkit train --data '{folder}' --recipe scratch --size 64 --width 0.125 --split random\n"
        in result.stdout
    )


def test_synth_passes_size_and_seed_on(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("synth", tmp_path / name, "--per-class", 1, "--size", 40, "--seed", seed)
    a, b, c = ((tmp_path / name / "Pro" / "WBC-Malignant-Pro-001.jpg").read_bytes() for name in "abc")
    assert a == b != c


def test_synth_hands_a_foreseen_failure_to_the_caller(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(AllkitError, match="is not empty"):
        run("synth", tmp_path)


def test_download_prints_the_folder_alone_on_stdout(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "download", lambda: tmp_path)
    result = run("download")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path}\n"
    assert download.CITATION in result.stderr
    assert f"next: allkit train --data {tmp_path} --recipe scratch --size 150 --width 0.25\n" in result.stderr


@pytest.mark.parametrize("command", ["synth", "download"])
def test_help_shows_examples(command):
    result = run(command, "--help")
    assert f"allkit data {command}" in result.stdout.split("Examples:")[1]


def test_help_loads_neither_opencv_nor_kagglehub():
    code = (
        "import sys, allkit.cli.data as module; module.data.main(['synth', '--help'], standalone_mode=False); "
        "sys.exit(bool({'cv2', 'numpy', 'rich', 'kagglehub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0

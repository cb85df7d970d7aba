"""Places without a home, a cache or permissions, and names that no file can have."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from allkit import AllkitError, Classifier
from allkit.cli import main as command_line
from allkit.cli.main import cli
from classified import CSV
from models import tiny_model

TOO_LONG, ZERO = "x" * 300, "a\0b"

# A user whom the system does not know, and who has no folder.
NOBODY = (
    "import os, pwd\n"
    "for name in ('HOME', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'MPLCONFIGDIR'): os.environ.pop(name, None)\n"
    "def unknown(uid): raise KeyError(uid)\n"
    "pwd.getpwuid = unknown\n"
)
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows every user")


def invoke(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def as_nobody(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", NOBODY + code], capture_output=True, text=True, env={**os.environ, **environment}
    )


@posix
def test_a_user_without_a_home_classifies(folder):
    words = ["allkit", "classify", "images", "--model", "exported/tiny.onnx", "--device", "cpu", "--format", "csv"]
    done = as_nobody(f"import sys; sys.argv = {words}; from allkit.cli.main import main; main()")
    assert (done.returncode, done.stdout) == (0, CSV)
    assert "Traceback" not in done.stderr


@posix
@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "exported/tiny.onnx"],
        ["evaluate", "exported/tiny.onnx", "--data", "labelled", "--device", "cpu"],
        ["data", "audit", "labelled"],
        ["data", "synth", "drawn", "--per-class", "1"],
        ["report", "exported/tiny.onnx"],
        ["tune", "exported/tiny.onnx", "images", "--seconds", "1"],
    ],
    ids=lambda words: words[0],
)
def test_every_command_works_without_a_home_and_a_cache(folder, words):
    from trees import make_tree

    if "labelled" in words:
        make_tree(folder / "labelled", {"red": 6, "green": 6, "blue": 6})
    done = as_nobody(f"import sys; sys.argv = {['allkit', *words]}; from allkit.cli.main import main; main()")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@posix
def test_a_download_without_a_home_names_the_fix(tmp_path):
    pytest.importorskip("kagglehub")
    words = ["allkit", "data", "download"]
    done = as_nobody(f"import sys; sys.argv = {words}; from allkit.cli.main import main; main()")
    assert done.returncode == 2
    assert done.stderr.startswith("error: kagglehub needs a home folder")
    assert "set HOME" in done.stderr


@posix
@pytest.mark.parametrize("home", ["", "/dev/null/home"])
def test_matplotlib_does_without_its_folder_in_silence(home, tmp_path):
    code = f"os.environ['HOME'] = {home!r}\n" if home else ""
    code += (
        "from allkit.charts.chart import Chart; import logging\n"
        "Chart(lambda figure: None).inline('', '')\n"
        "assert logging.getLogger('matplotlib').level == 0"
    )
    done = as_nobody(code, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_tune_says_that_its_result_was_not_kept(folder, monkeypatch):
    from allkit.runtime import tuning
    from allkit.runtime.plan import Plan

    monkeypatch.setattr(tuning, "measure", lambda *_: {Plan(1, 1, 1): 10.0})
    result = invoke("tune", "exported/tiny.onnx", "images")
    assert result.exit_code == 0
    assert "saved in" in result.output
    assert "not saved" not in result.output
    (folder / "file").write_text("")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder / "file" / "below"))
    result = invoke("tune", "exported/tiny.onnx", "images")
    assert result.exit_code == 0
    assert "not saved: cannot write" in result.output
    assert "XDG_CACHE_HOME" in result.output


@pytest.mark.parametrize("name", [TOO_LONG, ZERO], ids=["too long", "zero byte"])
@pytest.mark.parametrize(
    "words",
    [
        "inspect NAME",
        "classify images --model NAME",
        "classify images --output NAME",
        "classify images --heatmaps NAME",
        "evaluate NAME --data images",
        "evaluate exported/tiny.onnx --data NAME",
        "evaluate exported/tiny.onnx --data images --split NAME",
        "bench NAME",
        "bench exported/tiny.onnx --json NAME",
        "bench --from NAME",
        "bench --compare NAME NAME",
        "report NAME",
        "report exported --html NAME",
        "tune NAME",
        "data audit NAME",
        "data audit images --html NAME",
        "data synth NAME",
        "export --run NAME",
        "export --runs NAME",
        "export --out NAME",
        "train --data NAME --size 32",
        "train --data images --size 32 --out NAME",
        "train --data images --size 32 --groups NAME",
        "demo --out NAME",
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_name_that_no_file_can_have_is_wrong_usage(words, name):
    result = invoke(*(name if word == "NAME" else word for word in words.split()))
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "Invalid value" in result.output


@pytest.mark.usefixtures("folder")
def test_an_image_whose_name_no_file_can_have_has_its_row():
    result = invoke("classify", "images/smear2.png", TOO_LONG, ZERO, "--format", "csv", "--device", "cpu")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 4


@pytest.mark.parametrize("name", [TOO_LONG, ZERO, "exported/tiny.onnx/below", "gone.onnx"])
@pytest.mark.usefixtures("folder")
def test_the_library_names_a_model_that_cannot_be_there(name):
    with pytest.raises(AllkitError, match=r"cannot read|is not a file"):
        Classifier(name, device="cpu")


def refusing(monkeypatch, name, refused):
    """Let a function of `os` refuse one path, as it does for others than the administrator."""
    granted = getattr(os, name)

    def guarded(path=".", *arguments, **options):
        if Path(path) == refused:
            raise PermissionError(13, "Permission denied", str(path))
        return granted(path, *arguments, **options)

    monkeypatch.setattr(os, name, guarded)


@pytest.mark.usefixtures("folder")
def test_models_that_cannot_be_listed_are_not_taken_for_none(monkeypatch):
    refusing(monkeypatch, "listdir", Path("exported"))
    with pytest.raises(AllkitError, match=r"cannot read exported: Permission denied"):
        Classifier(device="cpu")


@pytest.mark.usefixtures("folder")
def test_a_model_that_cannot_be_reached_does_not_hide_the_others():
    Path("exported/newer.onnx").symlink_to("gone.onnx")
    assert Classifier(device="cpu").model_path == Path("exported/tiny.onnx")
    Path("exported/tiny.onnx").unlink()
    Path("exported/tiny.onnx").symlink_to("gone.onnx")
    with pytest.raises(AllkitError, match=r"tiny\.onnx is not a file"):
        Classifier(device="cpu")


@pytest.mark.usefixtures("folder")
def test_a_file_called_exported_holds_no_models(monkeypatch):
    shutil.rmtree("exported")
    Path("exported").write_text("")
    assert Classifier(device="cpu").model_path.parent.name == "models"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "runs/a"), "cannot use runs/a: Permission denied"),
        (OSError(36, "File name too long", "x" * 300), f"cannot use {'x' * 300}: File name too long"),
        (OSError("no number"), "no number"),
    ],
)
def test_what_the_system_refuses_is_one_line_and_status_2(monkeypatch, capsys, error, message):
    def fail(**_):
        raise error

    monkeypatch.setattr(command_line, "cli", fail)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these systems have no such names")
def test_a_model_whose_name_is_no_text_is_inspected(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.onnx"
    os.rename(tiny_model(tmp_path / "m.onnx"), path)
    done = subprocess.run([sys.executable, "-m", "allkit", "inspect", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xff.onnx" in done.stdout


class Worked(Exception):
    """The work has begun."""


def begin(*_, **__):
    raise Worked


@pytest.fixture
def work(monkeypatch):
    """What takes long in a command says that it was begun."""
    # Imported before anything is replaced: what a module imports by name it keeps.
    import allkit.auditing.job
    import allkit.benchmark.job
    import allkit.data.index
    import allkit.report.sources
    from allkit.runs import find

    monkeypatch.setattr(allkit.data.index, "scan", begin)
    monkeypatch.setattr(allkit.report.sources, "gather", begin)
    monkeypatch.setattr("allkit.benchmark.job.bench", begin)
    monkeypatch.setattr(find, "newest_finished", begin)
    monkeypatch.setattr("allkit.training.job.scan", begin)


@pytest.mark.parametrize(
    "words",
    [
        *(f"bench exported/tiny.onnx {option} NAME" for option in ("--json", "--csv", "--markdown", "--report")),
        "bench exported/tiny.onnx --plot NAME.svg",
        "data audit images --json NAME",
        "data audit images --html NAME",
        "report exported --html NAME",
        "report exported --markdown NAME",
        "export --out NAME",
        "train --data images --size 32 --out NAME",
        "train --data images --size 32 --size 64 --out NAME",
        "classify images --output NAME --device cpu",
        "classify images --heatmaps NAME --device cpu",
    ],
)
@pytest.mark.usefixtures("folder", "work")
def test_where_a_result_cannot_be_written_is_told_before_the_work(words):
    result = invoke(*words.replace("NAME", "images/smear2.png/below").split())
    assert isinstance(result.exception, AllkitError | SystemExit)
    assert "cannot write" in str(result.exception)
    if not words.startswith("classify"):
        assert isinstance(invoke(*words.replace("NAME", "new").split()).exception, Worked)


@pytest.mark.usefixtures("folder")
def test_several_sizes_need_an_out_with_a_name():
    result = invoke("train", "--data", "images", "--size", "32", "--size", "64", "--out", ".")
    assert result.exit_code == 2
    assert "--out" in result.output


@pytest.mark.parametrize("package", ["keras", "tensorflow", "tf2onnx", "matplotlib"])
def test_export_without_the_training_stack_is_one_line_with_the_fix(folder, package):
    words = ["allkit", "export", "--run", "run"]
    code = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = {words}\n"
        "from unittest.mock import Mock; from allkit.runs.run import Run; Run.open = Mock()\n"
        "from allkit.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f'error: {package} not installed: pip install "allkit[train]"\n'

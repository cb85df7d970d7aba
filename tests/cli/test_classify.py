import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from allkit import AllkitError
from allkit.cli.classify import classify
from allkit.runtime.session import Model
from models import flat, tiny_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with exported/tiny.onnx and images/ that hold a red and a green image."""
    monkeypatch.chdir(tmp_path)
    Path("exported").mkdir()
    tiny_model(Path("exported/tiny.onnx"))
    Path("images").mkdir()
    # OpenCV writes BGR: the first is RGB (96, 64, 0), with the odds 8 : 4 : 1, the second (0, 32, 0), 1 : 2 : 1.
    cv2.imwrite("images/smear2.png", flat(0, 64, 96))
    cv2.imwrite("images/smear10.png", flat(0, 32, 0))
    return tmp_path


def run(*arguments, **options):
    return CliRunner().invoke(classify, [*map(str, arguments), "--device", "cpu"], catch_exceptions=False, **options)


def add_broken():
    Path("images/broken.jpg").write_bytes(b"\xff\xd8 not a jpeg")


# A class belongs to the set from probability 0.6 on, and an image is unfamiliar from distance 200 on.
CSV = """path,label,confidence,red,green,blue,error,prediction_set,uncertain,unfamiliar
images/smear2.png,red,0.615385,0.615385,0.307692,0.076923,,red,False,False
images/smear10.png,green,0.5,0.25,0.5,0.25,,,True,False
"""


@pytest.mark.usefixtures("folder")
def test_csv_has_exactly_the_promised_columns_and_a_line_an_image():
    result = run("images", "--format", "csv")
    assert result.exit_code == 0
    assert result.stdout == CSV


@pytest.mark.usefixtures("folder")
def test_an_unreadable_image_has_its_row_and_makes_the_status_one():
    add_broken()
    result = run("images", "gone.png", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert result.exit_code == 1
    assert [row["path"] for row in rows] == [
        "images/broken.jpg",
        "images/smear2.png",
        "images/smear10.png",
        "gone.png",
    ]
    for row in (rows[0], rows[3]):
        assert [row[name] for name in ("label", "confidence", "red", "green", "blue")] == [""] * 5
    assert "not a readable image" in rows[0]["error"]
    assert "No such file" in rows[3]["error"]


@pytest.mark.usefixtures("folder")
def test_json_lines_carry_the_csv_names_flat():
    add_broken()
    result = run("images", "--format", "jsonl")
    broken, red, green = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1
    assert red == {
        "path": "images/smear2.png",
        "label": "red",
        "confidence": 0.615385,
        "red": 0.615385,
        "green": 0.307692,
        "blue": 0.076923,
        "error": None,
        "prediction_set": ["red"],
        "uncertain": False,
        "unfamiliar": False,
    }
    assert green["label"] == "green"
    assert list(broken) == list(red)
    assert [broken[name] for name in list(red) if name not in ("path", "error")] == [None] * 8
    assert "not a readable image" in broken["error"]


@pytest.mark.usefixtures("folder")
def test_the_table_shows_whole_paths_and_the_summary_when_piped():
    deep = Path("images", "a" * 100, "b" * 100)
    deep.mkdir(parents=True)
    cv2.imwrite(str(deep / "smear.png"), flat(0, 0, 96))
    add_broken()
    result = run("images")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["label", "confidence", "red", "green", "blue", "doubt", "path"]
    assert lines[1].split() == ["red", "0.8000", "0.8000", "0.1000", "0.1000", str(deep / "smear.png")]
    assert lines[2].startswith("not read ")
    assert "images/broken.jpg" in lines[2]
    assert lines[3].split() == ["red", "0.6154", "0.6154", "0.3077", "0.0769", "images/smear2.png"]
    assert "red: 2  green: 1  blue: 0  uncertain: 1  unfamiliar: 0  not read: 1" in result.stdout
    assert "4 image(s)" in result.stdout
    assert "tiny.onnx on CPUExecutionProvider" in result.stdout
    assert "research use; not for diagnosis" in result.stdout


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_summary_of_data_goes_to_stderr(form):
    result = run("images", "--format", form)
    assert "red: 1  green: 1  blue: 0  uncertain: 1  unfamiliar: 0  not read: 0" in result.stderr
    assert "research use; not for diagnosis" in result.stderr
    assert "research" not in result.stdout


@pytest.mark.usefixtures("folder")
def test_output_goes_to_a_file_that_replaces_an_older_one():
    Path("out.csv").write_text("old")
    result = run("images", "--format", "csv", "--output", "out.csv")
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path("out.csv").read_text() == CSV
    assert sorted(os.listdir()) == ["exported", "images", "out.csv"]


def failing_at(monkeypatch, number, error):
    """Have the model fail with `error` at its run of that number; returns the sizes of the batches."""
    real, calls = Model.run, []

    def run(self, batch, heatmaps):
        calls.append(len(batch))
        if len(calls) == number:
            raise error
        return real(self, batch, heatmaps)

    monkeypatch.setattr(Model, "run", run)
    monkeypatch.setattr("allkit.runtime.plan.cores", lambda: 1)
    return calls


ONE_BY_ONE = ("images", "--format", "csv", "--output", "out.csv", "--batch-size", 1)


@pytest.mark.usefixtures("folder")
def test_a_failure_half_way_leaves_the_older_file_and_can_be_gone_on_with(monkeypatch):
    Path("out.csv").write_text("old")
    with monkeypatch.context() as patch:
        failing_at(patch, 2, AllkitError("out of memory"))
        with pytest.raises(AllkitError, match="out of memory"):
            run(*ONE_BY_ONE)
    assert Path("out.csv").read_text() == "old"
    assert sorted(os.listdir()) == [".out.csv.journal", "exported", "images", "out.csv"]
    calls = failing_at(monkeypatch, 99, None)
    result = run(*ONE_BY_ONE, "--resume")
    assert (result.exit_code, calls) == (0, [1])
    assert "1 image(s) were classified before" in result.stderr
    assert Path("out.csv").read_text() == CSV
    assert sorted(os.listdir()) == ["exported", "images", "out.csv"]


@pytest.mark.usefixtures("folder")
def test_an_interrupt_leaves_the_rows_so_far_and_says_how_to_go_on(monkeypatch):
    with monkeypatch.context() as patch:
        failing_at(patch, 2, KeyboardInterrupt())
        result = run(*ONE_BY_ONE)
    assert result.exit_code == 130
    assert "\n1 image(s), " in result.stderr
    assert "stopped after 1 of 2 image(s); out.csv holds them, the same command with --resume goes on" in result.stderr
    assert Path("out.csv").read_text() == "".join(CSV.splitlines(keepends=True)[:2])
    run(*ONE_BY_ONE, "--resume")
    assert Path("out.csv").read_text() == CSV


@pytest.mark.usefixtures("folder")
def test_a_resumed_run_takes_changed_and_unreadable_images_again(monkeypatch):
    add_broken()
    with monkeypatch.context() as patch:
        failing_at(patch, 2, KeyboardInterrupt())
        run(*ONE_BY_ONE)
    cv2.imwrite("images/broken.jpg", flat(0, 0, 96))
    # The first line that was cut short, as by a sudden end, is done again.
    journal = Path(".out.csv.journal")
    journal.write_bytes(journal.read_bytes() + b'{"path": "images/sm')
    assert run(*ONE_BY_ONE, "--resume").exit_code == 0
    lines = Path("out.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["images/broken.jpg", "red"],
        ["images/smear2.png", "red"],
        ["images/smear10.png", "green"],
    ]


@pytest.mark.usefixtures("folder")
def test_a_journal_of_another_model_is_not_gone_on_with(monkeypatch):
    with monkeypatch.context() as patch:
        failing_at(patch, 2, KeyboardInterrupt())
        run(*ONE_BY_ONE)
    tiny_model(Path("exported/tiny.onnx"), temperature=2.0)
    with pytest.raises(AllkitError, match="was made with another model"):
        run(*ONE_BY_ONE, "--resume")


def test_sigterm_ends_it_like_an_interrupt(folder):
    for i in range(400):
        cv2.imwrite(f"images/more{i}.png", np.zeros((900, 900, 3), np.uint8))
    process = subprocess_classify("images", "--format", "csv", "--output", "out.csv", stdout=subprocess.PIPE)
    journal = Path(".out.csv.journal")
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
        assert process.poll() is None
    process.terminate()
    errors = process.communicate()[1].decode()
    assert process.returncode == 130
    assert "Traceback" not in errors
    rows = Path("out.csv").read_text().splitlines()
    assert 3 < len(rows) < 403
    assert f"stopped after {len(rows) - 1} of 402" in errors


@pytest.mark.usefixtures("folder")
def test_resume_needs_an_output():
    assert "give --output too" in run("images", "--resume").stderr


@pytest.mark.usefixtures("folder")
def test_wrong_usage_has_status_two():
    assert run().exit_code == 2
    assert run("images", "--format", "xml").exit_code == 2
    assert run("images", "--batch-size", 0).exit_code == 2
    assert run("images", "--output", "exported").exit_code == 2


@pytest.mark.usefixtures("folder")
def test_a_folder_without_images_is_an_error_that_names_it():
    with pytest.raises(AllkitError, match="no image in exported"):
        run("exported")


@pytest.mark.usefixtures("folder")
def test_the_notice_of_a_fallback_is_one_line_on_stderr(monkeypatch):
    real = Model.__init__

    def fallen_back(self, path, device, threads, shared):
        real(self, path, "cpu")
        self.notice = "running on the CPU: no NVIDIA driver found"

    monkeypatch.setattr(Model, "__init__", fallen_back)
    result = run("images", "--format", "csv")
    assert result.stderr.splitlines()[0] == "running on the CPU: no NVIDIA driver found"
    assert result.stdout == CSV


def subprocess_classify(*arguments, **options):
    code = "from allkit.cli.classify import classify; classify()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--device", "cpu"], stderr=subprocess.PIPE, **options
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_a_closed_pipe_prints_no_traceback(form):
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess_classify("images", "--format", form, stdout=writer)
    os.close(writer)
    errors = process.communicate()[1].decode()
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse file names that are not UTF-8")
@pytest.mark.parametrize("form", ["table", "csv"])
def test_a_file_name_that_is_not_utf8_comes_back_byte_for_byte(folder, form):
    name = os.fsencode(folder / "images") + b"/\xff.png"
    os.rename("images/smear2.png", name)
    process = subprocess_classify(name, "--format", form, stdout=subprocess.PIPE)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert name in output


def test_one_row_for_each_of_many_real_images(folder, shared_data):
    result = run(shared_data / "all" / "Benign", "--format", "csv", "--output", "rows.csv")
    with open("rows.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert result.exit_code == 0
    assert len(rows) == 429
    assert {row["error"] for row in rows} == {""}


@pytest.mark.usefixtures("folder")
def test_profile_shows_stages_and_the_share_of_the_limit():
    result = run("images", "--format", "csv", "--profile")
    assert result.exit_code == 0
    assert result.stdout == CSV
    for words in ("where the time went", "decode", "one alone", "worker_0", "of the limit"):
        assert words in result.stderr

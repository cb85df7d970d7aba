import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import cv2
import pytest
from pyarrow import parquet

from allkit import AllkitError
from allkit.cli.classify import _logged
from allkit.cli.output import opened, write_table
from allkit.runtime.classifier import Prediction
from allkit.runtime.session import Model
from classified import CSV, add_broken, run, subprocess_classify
from models import flat


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
    assert lines[0].split() == ["path", "label", "confidence"]
    assert lines[1].split() == [str(deep / "smear.png"), "red", "0.8000"]
    assert lines[2].split()[:3] == ["images/broken.jpg", "not", "read"]
    assert lines[3].split() == ["images/smear2.png", "red", "0.6154"]
    assert "1 of 4 image(s) could not be read\n1 of 4 image(s) are uncertain" in result.stdout
    assert "red: 2  green: 1  blue: 0  uncertain: 1  unfamiliar: 0  not read: 1" in result.stdout
    assert "4 image(s)" in result.stdout
    assert "tiny.onnx (named by exported/default) on CPUExecutionProvider" in result.stdout
    assert "tiny.onnx on CPUExecutionProvider" in run("images", "--model", "exported/tiny.onnx").stdout
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
    result = run("images", "--output", "out.csv")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "wrote 2 row(s) to out.csv" in result.stderr
    assert Path("out.csv").read_text() == CSV
    assert sorted(os.listdir()) == ["exported", "images", "out.csv"]


@pytest.mark.usefixtures("folder")
def test_the_suffix_of_the_output_names_its_format():
    assert run("images", "--output", "out.jsonl").exit_code == 0
    assert [json.loads(line)["label"] for line in Path("out.jsonl").read_text().splitlines()] == ["red", "green"]
    assert run("images", "--output", "out.jsonl", "--format", "csv").exit_code == 0
    assert Path("out.jsonl").read_text() == CSV


@pytest.mark.usefixtures("folder")
def test_parquet_has_the_rows_of_json_lines():
    add_broken()
    lines = run("images", "--format", "jsonl").stdout.splitlines()
    assert run("images", "--output", "out.parquet").exit_code == 1
    table = parquet.read_table("out.parquet")
    assert table.to_pylist() == [json.loads(line) for line in lines]
    assert table.schema.field("confidence").type == "double"
    assert "give --output FILE" in run("images", "--format", "parquet").stderr


def test_a_log_has_a_line_a_minute(monkeypatch, capsys):
    times = iter(i / 10 for i in range(1000))
    monkeypatch.setattr("allkit.cli.classify.time.monotonic", lambda: next(times))
    monkeypatch.setattr("allkit.cli.classify.LOG_SECONDS", 0.2)
    assert list(_logged(iter("abcde"), 5)) == list("abcde")
    # Of a line per 0.2 s: the clock stands at 0.1 s after the first image, at 0.2 s after the second.
    assert capsys.readouterr().err == "2 of 5 image(s), 10.0 images/s\n4 of 5 image(s), 10.0 images/s\n"


@pytest.mark.usefixtures("folder")
def test_rows_on_a_terminal_fit_its_width(monkeypatch):
    deep = Path("images", "a" * 100)
    deep.mkdir()
    cv2.imwrite(str(deep / "smear.png"), flat(0, 0, 96))
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setenv("COLUMNS", "80")
    paths = [deep / "smear.png", Path("images/smear2.png")]
    predictions = [Prediction("green", 0.5, {}, uncertain=True, unfamiliar=True)] * 2
    write_table(zip(paths, predictions, strict=True), ["green"], stream)
    _, *rows = click.unstyle(stream.getvalue()).splitlines()
    assert {len(row) for row in rows} == {80}
    assert rows[0].startswith("images/aaaa")
    assert rows[0].split()[0].endswith("aaa/smear.png")
    assert rows[1].split() == ["images/smear2.png", "green", "0.5000", "uncertain", "unfamiliar"]


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


needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
FULL = "error: cannot write to standard output: No space left on device"


@needs_dev_full
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_a_full_disk_behind_stdout_is_an_error_in_one_line(form):
    with open("/dev/full", "w") as full:
        process = subprocess_classify("images", "--format", form, stdout=full)
        errors = process.communicate()[1].decode()
    assert process.returncode == 2
    assert errors.splitlines()[-1] == FULL
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


@needs_dev_full
@pytest.mark.usefixtures("folder")
def test_a_full_disk_behind_the_summary_costs_no_rows():
    with open("/dev/full", "w") as full:
        process = subprocess_classify("images", "--format", "csv", "--output", "out.csv", stdout=full)
        process.communicate()
        process = subprocess_classify("images", "--output", "out.txt", stdout=full)
        errors = process.communicate()[1].decode()
    assert (process.returncode, errors.splitlines()[-1]) == (2, FULL)
    assert Path("out.csv").read_text() == CSV
    assert "smear10.png" in Path("out.txt").read_text()


@pytest.mark.usefixtures("folder")
def test_a_closed_stdout_is_an_error_that_names_the_way_out(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(AllkitError, match="standard output is closed: give --output FILE"), opened(None):
        pass


@pytest.mark.usefixtures("folder")
def test_control_characters_in_a_name_stay_inside_the_row():
    os.rename("images/smear2.png", "images/a\nb\x1b[2J.png")
    rows = run("images").stdout.splitlines()
    assert rows[1].startswith(r"images/a\x0ab\x1b[2J.png ")


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
    for words in ("time by stage", "decode", "alone", "worker_0", "of the limit"):
        assert words in result.stderr


@pytest.mark.usefixtures("folder")
def test_profile_knows_no_limit_where_the_model_does_not_run_on_the_processor(monkeypatch):
    monkeypatch.setattr("allkit.Classifier.provider", "CUDAExecutionProvider")
    monkeypatch.setattr("allkit.runtime.tuning.stage_costs", lambda *words: pytest.fail("measured on the processor"))
    result = run("images", "--format", "csv", "--model", "exported/tiny.onnx", "--profile")
    assert result.exit_code == 0, result.output
    assert "worker_0" in result.stderr
    assert "its limit is not known" in result.stderr
    assert "of the limit" not in result.stderr
    assert "single thread" not in result.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_bound_to_one_processor_all_goes_well_and_in_silence(folder):
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, [{one}]); from allkit.cli.main import main; main()"
    words = [sys.executable, "-c", code, "classify", "images", "--format", "csv", "--device", "cpu"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, CSV)
    uncertain, counts, images = done.stderr.split("\n")[1:-1]
    assert uncertain.startswith("1 of 2 image(s) are uncertain")
    assert counts.startswith("red: 1  green: 1")
    assert images.startswith("2 image(s), ")

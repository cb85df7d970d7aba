"""`allkit classify` on damaged and deep images."""

import csv
import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from allkit import AllkitError, Classifier
from classified import CSV, ONE_BY_ONE, run, stopped_after, subprocess_classify
from pictures import drawn, encoded, png

PHOTO = encoded(drawn(64, 64), "JPEG", quality=95)


@pytest.fixture
def damaged(folder):
    """The folder with a JPEG that lacks its second half."""
    (folder / "images" / "smear3.jpg").write_bytes(PHOTO[: len(PHOTO) // 2])
    return folder


def rows_of(result):
    return {row["path"]: row for row in csv.DictReader(io.StringIO(result.stdout))}


@pytest.mark.usefixtures("damaged")
def test_a_damaged_image_is_an_error_unless_lenient():
    result = run("images", "--format", "csv")
    assert result.exit_code == 1
    row = rows_of(result)["images/smear3.jpg"]
    assert "warning" not in row
    assert row["label"] == ""
    assert "damaged, Premature end of JPEG file" in row["error"]


@pytest.mark.usefixtures("damaged")
def test_a_lenient_row_has_a_label_and_a_warning_in_a_last_column():
    result = run("images", "--format", "csv", "--lenient")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == CSV.splitlines()[0] + ",warning"
    row = rows_of(result)["images/smear3.jpg"]
    assert row["label"] in ("red", "green", "blue")
    assert (row["error"], row["warning"]) == ("", "Premature end of JPEG file")
    assert rows_of(result)["images/smear2.png"]["warning"] == ""
    assert "damaged: 1  not read: 0" in result.stderr


@pytest.mark.usefixtures("damaged")
def test_so_it_has_in_json_lines_and_the_table():
    records = [json.loads(line) for line in run("images", "--format", "jsonl", "--lenient").stdout.splitlines()]
    assert [record["warning"] for record in records] == [None, "Premature end of JPEG file", None]
    (row,) = [row for row in run("images", "--lenient").stdout.splitlines() if "smear3.jpg" in row]
    assert row.endswith("damaged: Premature end of JPEG file")


@pytest.mark.usefixtures("damaged")
def test_what_was_read_leniently_is_an_error_again_when_resumed_without():
    stopped = run("images", "--format", "csv", "--output", "rows.csv", "--lenient")
    assert stopped.exit_code == 0
    resumed = run("images", "--format", "csv", "--output", "rows.csv", "--resume")
    assert resumed.exit_code == 1
    assert "warning" not in Path("rows.csv").read_text()


def test_the_classifier_tells_warnings_in_order_whatever_the_batches(damaged):
    sources = [PHOTO, PHOTO[: len(PHOTO) // 2], PHOTO, b"no image", PHOTO[: 2 * len(PHOTO) // 3]]
    classifier = Classifier("exported/tiny.onnx", device="cpu", batch_size=1, lenient=True)
    found = [(prediction.label is not None, prediction.warning) for prediction in classifier(sources)]
    words = "Premature end of JPEG file"
    assert found == [(True, None), (True, words), (True, None), (False, None), (True, words)]


@pytest.mark.usefixtures("folder")
def test_bits_make_a_row_of_a_twelve_bit_image():
    # A constant red that is (96, 64, 0) in eight bits.
    Path("images/smear2.png").write_bytes(png(np.full((96, 96, 3), (96, 64, 0), np.uint16) << 4))
    assert "--bits 12" in rows_of(run("images", "--format", "csv"))["images/smear2.png"]["error"]
    assert run("images", "--format", "csv", "--bits", 12).stdout == CSV
    assert run("images", "--bits", 17).exit_code == 2


@pytest.mark.usefixtures("folder")
def test_a_journal_of_other_bits_is_not_gone_on_with(monkeypatch):
    stopped_after(monkeypatch, 1)
    with pytest.raises(AllkitError, match="another model, other options"):
        run(*ONE_BY_ONE, "--resume", "--bits", 12)


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("lenient", [[], ["--lenient"]])
def test_the_words_of_c_libraries_reach_rows_and_not_stderr(lenient):
    picture = np.asarray(drawn())
    whole = {
        "png": png(picture),
        "jpg": PHOTO,
        "cmyk.jpg": encoded(drawn().convert("CMYK"), "JPEG"),
        "lzw.tif": encoded(drawn(), "TIFF", compression="tiff_lzw"),
        "jpeg.tif": encoded(drawn(), "TIFF", compression="jpeg"),
        "webp": encoded(drawn(), "WEBP"),
        "bmp": encoded(drawn(), "BMP"),
    }
    random = np.random.default_rng(0)
    for kind, data in whole.items():
        for i in range(8):
            at, count = int(random.integers(8, len(data) - 40)), int(random.integers(1, 40))
            noise = random.integers(0, 256, count).astype(np.uint8).tobytes()
            Path(f"images/{i}.{kind}").write_bytes(data[:at] + noise + data[at + count :])
    process = subprocess_classify("images", "--format", "csv", *lenient, stdout=subprocess.PIPE)
    output, errors = process.communicate()
    assert len(output.splitlines()) == 1 + 3 + 8 * len(whole)
    # The summary: sentences and counts.
    told = [line for line in errors.decode().splitlines() if line and " image(s)" not in line]
    assert [line.split()[0] for line in told] == ["red:"], errors.decode()

"""`allkit watch` as a process, which is killed again and again while images come."""

import csv
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("watchfiles")

from allkit import Classifier
from allkit.classification.rows import write_csv
from allkit.data.synth import synthesize
from models import tiny_model


@pytest.fixture
def place(tmp_path):
    """A model, images to come, and an empty folder that is watched."""
    tiny_model(tmp_path / "m.onnx")
    synthesize(tmp_path / "images", 6)
    (tmp_path / "camera").mkdir()
    return tmp_path


def start(place, *options):
    words = [
        "watch",
        "camera",
        "--output",
        "labels.csv",
        "--model",
        "m.onnx",
        "--device",
        "cpu",
        "--rest",
        "0.1",
        *options,
    ]
    return subprocess.Popen([sys.executable, "-m", "allkit", *words], cwd=place, stderr=subprocess.PIPE, text=True)


def rows(place):
    try:
        with (place / "labels.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))
    except FileNotFoundError:
        return []


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def come(place, images, name="{}.jpg"):
    for number, image in enumerate(images):
        shutil.copy(image, place / "camera" / name.format(number))


def test_a_kill_at_any_moment_loses_and_repeats_nothing(place):
    images = sorted((place / "images").rglob("*.jpg"))
    draw = random.Random(0)
    for number, image in enumerate(images):
        process = start(place)
        shutil.copy(image, place / "camera" / f"{number}.jpg")
        if number % 6 == 5:
            # Now and then it gets as far as a row.
            until(lambda: len(rows(place)) > 0)
        time.sleep(draw.uniform(0, 0.6))
        process.kill()
        process.communicate()
    process = start(place)
    until(lambda: len(rows(place)) == len(images))
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"labels.csv has {len(images)} row(s)" in told
    paths = [place / "camera" / f"{number}.jpg" for number in range(len(images))]
    assert sorted(row["path"] for row in rows(place)) == sorted(map(str, paths))
    # The rows of `allkit classify`, but for their order.
    with (place / "expected.csv").open("w", newline="") as stream:
        classify = Classifier(place / "m.onnx", device="cpu")
        write_csv(zip(paths, classify(paths), strict=True), classify.contract.classes, stream)
    found, expected = ((place / name).read_text().splitlines() for name in ("labels.csv", "expected.csv"))
    assert sorted(found) == sorted(expected)


def test_images_that_were_there_are_left_also_after_a_restart(place):
    images = sorted((place / "images").rglob("*.jpg"))[:3]
    come(place, images, "old{}.jpg")
    process = start(place, "--existing", "leave")
    assert process.stderr.readline().startswith("watching")
    come(place, images[:1], "new.jpg")
    until(lambda: len(rows(place)) == 1)
    process.kill()
    process.communicate()
    # What comes while nobody watches was not there at the first start.
    come(place, images[:1], "between.jpg")
    process = start(place, "--existing", "leave")
    until(lambda: len(rows(place)) == 2)
    process.kill()
    process.communicate()
    assert [row["path"].rsplit("/")[-1] for row in rows(place)] == ["new.jpg", "between.jpg"]


def test_what_cannot_be_read_has_a_row_with_the_reason(place):
    (place / "camera" / "bad.jpg").write_bytes(b"no image")
    process = start(place)
    until(lambda: len(rows(place)) == 1)
    process.terminate()
    process.communicate()
    (row,) = rows(place)
    assert row["label"] == ""
    assert "damaged" in row["error"]

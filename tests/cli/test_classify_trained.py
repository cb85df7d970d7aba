"""`allkit classify --mark-trained`."""

import csv
import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from allkit import AllkitError, Classifier
from allkit.imaging.pixel_path import decode
from allkit.model.training_images import TrainingImages, perceptual_hashes
from allkit.runtime.default_model import name_default
from allkit.support.files import content_hash
from classified import ONE_BY_ONE, run, stopped_after
from models import tiny_model


@pytest.fixture
def marked(tmp_path, monkeypatch) -> dict[str, str]:
    """images/ with copies of an image that exported/tiny.onnx was trained on, and others; how each is to be marked."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    known, other = (cv2.resize(one, (64, 64), interpolation=cv2.INTER_CUBIC) for one in noise)
    Path("images").mkdir()
    cv2.imwrite("images/a.png", known)
    shutil.copy("images/a.png", "images/renamed.png")
    cv2.imwrite("images/b.jpg", known, [cv2.IMWRITE_JPEG_QUALITY, 80])
    cv2.imwrite("images/c.bmp", cv2.resize(known, (40, 40), interpolation=cv2.INTER_AREA))
    cv2.imwrite("images/d.png", other)
    cv2.imwrite("images/held.png", known[:, ::-1])
    Path("images/e.png").write_bytes(b"no image")
    hashes = {"a": content_hash(Path("images/a.png")), "held": content_hash(Path("images/held.png"))}
    picture = perceptual_hashes(decode(Path("images/a.png").read_bytes()))[0]
    parts = {"train": ["a"], "validation": [], "test": ["held"]}
    told = TrainingImages.of(parts, hashes, {"a": 0, "held": 1}, {"a": picture})
    Path("exported").mkdir()
    tiny_model(Path("exported/tiny.onnx"), images=told)
    copies = {"a.png": "exact", "renamed.png": "exact", "b.jpg": "near", "c.bmp": "near"}
    others = {"d.png": "", "e.png": "", "held.png": ""}
    name_default(Path("exported/tiny.onnx"))
    return {f"images/{name}": mark for name, mark in (copies | others).items()}


def test_one_more_column_says_which_images_the_model_was_trained_on(marked):
    plain = list(csv.DictReader(io.StringIO(run("images", "--format", "csv").stdout)))
    result = run("images", "--format", "csv", "--mark-trained")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {row["path"]: row["trained_on"] for row in rows} == marked
    assert list(rows[0]) == [*plain[0], "trained_on"]
    assert [{name: row[name] for name in plain[0]} for row in rows] == plain
    assert "trained on: 4" in result.stderr
    header = run("images", "--format", "csv", "--mark-trained", "--lenient").stdout.splitlines()[0]
    assert header.split(",") == [*plain[0], "trained_on", "warning"]


def test_json_lines_have_null_for_what_is_no_copy(marked):
    rows = [json.loads(line) for line in run("images", "--format", "jsonl", "--mark-trained").stdout.splitlines()]
    assert {row["path"]: row["trained_on"] or "" for row in rows} == marked
    assert all("trained_on" not in json.loads(line) for line in run("images", "--format", "jsonl").stdout.splitlines())


def test_the_table_marks_them_beside_doubt(marked):
    lines = run("images", "--mark-trained").stdout.splitlines()
    for path, mark in marked.items():
        (line,) = [line for line in lines if f"{path}" in line]
        assert (f"trained on ({mark})" in line) == bool(mark)


@pytest.mark.usefixtures("marked")
def test_a_stopped_file_is_not_gone_on_with_without_its_marks(monkeypatch):
    stopped_after(monkeypatch, 1)
    with pytest.raises(AllkitError, match="was made with another model"):
        run(*ONE_BY_ONE, "--resume", "--mark-trained")


def test_arrays_and_bytes_are_marked_too(marked):
    classifier = Classifier("exported/tiny.onnx", device="cpu", mark_trained=True)
    data = Path("images/a.png").read_bytes()
    found = list(classifier([data, decode(data), Path("images/d.png")]))
    assert [prediction.trained_on for prediction in found] == ["exact", "near", None]


def test_a_model_that_does_not_tell_cannot_mark(tmp_path):
    with pytest.raises(AllkitError, match=r"silent\.onnx does not list its training images"):
        Classifier(tiny_model(tmp_path / "silent.onnx"), device="cpu", mark_trained=True)

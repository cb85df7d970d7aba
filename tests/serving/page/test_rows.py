"""Images become rows on the page: what a user sees of them, and the CSV."""

import re
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from allkit import Classifier
from browsing import DAMAGED, LONG, done, drop, serving
from classified import run
from models import flat, tiny_model

MARKS = ("uncertain", "unfamiliar")


def as_shown(name, prediction):
    """The text of a row, with single spaces."""
    if prediction.error is not None:
        return f"{name} not read: {prediction.error}"
    marks = ["uncertain: no class is likely enough"] * prediction.uncertain
    marks += ["unfamiliar: the label means little"] * prediction.unfamiliar
    shares = [f"{label} {100 * share:.1f} %" for label, share in prediction.probabilities.items()]
    return " ".join([name, prediction.label, *filter(None, ["; ".join(marks)]), *shares])


def test_a_row_says_what_the_classifier_says(page, folder):
    paths = [folder / "smears" / name for name in ("smear10.jpg", DAMAGED, "smear2.jpg", LONG, "=1,2.jpg")]
    predictions = list(Classifier(device="cpu", batch_size=1)(paths))
    drop(page, *paths)
    rows = done(page, len(paths))
    # In the order in which they were given.
    expected = [as_shown(path.name, prediction) for path, prediction in zip(paths, predictions, strict=True)]
    assert [" ".join(text.split()) for text in rows.all_inner_texts()] == expected
    uncertain, unfamiliar = (sum(filter(None, (getattr(one, mark) for one in predictions))) for mark in MARKS)
    status = page.get_by_role("status").inner_text()
    assert f"{uncertain} uncertain, {unfamiliar} unfamiliar, 1 not read" in status
    for share, cell in zip(predictions[0].probabilities.values(), rows.first.locator(".bar").all(), strict=True):
        whole, bar = cell.bounding_box()["width"], cell.locator("span").bounding_box()["width"]
        assert bar / whole == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("way", ["files dropped", "folder dropped", "folder chosen"])
def test_the_csv_is_that_of_classify(page, folder, monkeypatch, way):
    if way == "files dropped":
        monkeypatch.chdir(folder / "smears")
        named = ["smear10.jpg", "=1,2.jpg", DAMAGED, "notes.txt", "scan.tif"]
        drop(page, *map(Path.absolute, map(Path, named)))
        done(page, len(named))
    else:
        monkeypatch.chdir(folder)
        named = ["smears"]
        if way == "folder dropped":
            # Beside the frame: the page must not give way to what is dropped.
            drop(page, folder / "smears", over="h1")
        else:
            page.get_by_label("choose a folder").set_input_files(folder / "smears")
        done(page, 6)
    with page.expect_download() as download:
        page.get_by_role("button", name="save as CSV").click()
    assert download.value.suggested_filename == "labels.csv"
    expected = folder / f"{way}.csv"
    assert run(*named, "--output", expected, "--batch-size", 1).exit_code in (0, 1)
    assert download.value.path().read_text() == expected.read_text()


def test_probabilities_are_written_as_in_python(page):
    values = [0.0, 1e-6, 9.9e-5, 1e-4, 0.5, 1.0, *(np.random.default_rng(0).integers(0, 1000, 500) / 1e6).tolist()]
    assert page.evaluate("(values) => values.map(decimal)", values) == list(map(str, values))


def test_progress_is_told_and_can_be_stopped(page, folder):
    free, held = [1, 2], []

    def gate(route):
        if free:
            free.pop()
            route.continue_()
        else:
            held.append(route)

    page.route("**/classify", gate)
    paths = sorted(path for path in (folder / "smears").rglob("*.*") if path.is_file())
    drop(page, *paths)
    status, progress = page.get_by_role("status"), page.get_by_role("progressbar")
    stop = page.get_by_role("button", name="stop")
    expect(status).to_have_text(re.compile(r"^2 of 10 images;.* not read$"))
    expect(progress).to_have_js_property("value", 2)
    expect(progress).to_have_js_property("max", 10)
    stop.click()
    expect(status).to_have_text(re.compile("; stopped$"))
    expect(stop).to_be_disabled()
    # Four had begun; they are answered in another order.
    free += range(10)
    for route in reversed(held):
        route.continue_()
    expect(status).to_have_text(re.compile("^6 of 10 images;"))
    names = page.locator(".name").all_inner_texts()
    assert names == [path.name for path in paths[:6]]
    drop(page, paths[0])
    done(page, 7)
    expect(progress).to_have_js_property("value", 7)
    expect(progress).to_have_js_property("max", 7)


def test_the_evidence_is_shown_and_hidden_again(page, address, folder):
    smear, scan = folder / "smears" / "smear2.jpg", folder / "smears" / "scan.tif"
    with urllib.request.urlopen(f"{address}classify?heatmap=png", smear.read_bytes()) as answer:
        height = len(cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR))
    drop(page, smear, scan)
    row, scanned = done(page, 2).all()
    label = row.locator(".label").inner_text()
    plain = row.get_by_role("img", name=f"smear2.jpg: {label}", exact=True)
    expect(plain).to_have_js_property("naturalHeight", 224)
    # Chromium shows no TIFF.
    expect(scanned.get_by_text("no preview")).to_be_visible()
    box = page.get_by_role("checkbox", name="show where the evidence for the label lies")
    box.check()
    # With its legend it is higher.
    assert height > 224
    expect(row.get_by_role("img", name=f"{label}, with the evidence for it")).to_have_js_property(
        "naturalHeight", height
    )
    expect(scanned.get_by_role("img")).to_have_js_property("naturalHeight", height)
    expect(scanned.get_by_text("no preview")).to_be_hidden()
    box.uncheck()
    expect(plain).to_have_js_property("naturalHeight", 224)


def test_a_model_of_other_classes_and_without_a_map(opened, tmp_path):
    abstention = {"coverage": 0.9, "threshold": 0.3}
    tiny_model(tmp_path / "m.onnx", abstention=abstention)
    # The odds are 8 : 4 : 1. OpenCV writes blue first.
    cv2.imwrite(str(tmp_path / "smear.png"), flat(0, 64, 96))
    with serving(tmp_path, "--model", "m.onnx") as other:
        page = opened(other)
        drop(page, tmp_path / "smear.png")
        text = " ".join(done(page, 1).first.inner_text().split())
        assert text == "smear.png red uncertain: red or green red 61.5 % green 30.8 % blue 7.7 %"
        expect(page.get_by_role("checkbox", include_hidden=True)).to_be_hidden()

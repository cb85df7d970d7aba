from pathlib import Path

import cv2
import numpy as np
import pytest

from allkit.errors import AllkitError
from allkit.runtime.classifier import Prediction
from allkit.runtime.evidence import overlay
from allkit.runtime.overlay import CONTACT_SHEET, OverlayFolder
from models import tiny_contract

GREY = np.full((70, 70, 3), 128, np.uint8)
MAP = {"method": "hirescam", "layer": "l", "height": 2, "width": 2, "stride_px": 32}


def predict(label, confidence):
    heatmap = np.array([[0, 1], [0, 0]], np.float32)
    return Prediction(label, confidence, {}, heatmap=heatmap)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    paths = [folder / name for name in ("a/1.png", "a/2.png", "b/1.png")]
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((70, 70, 3), 60 * i, np.uint8))
    return paths


def test_overlays_mirror_the_folders_and_keep_names_apart(images, tmp_path):
    contract = tiny_contract(size_px=70, heatmap=MAP)
    overlays = OverlayFolder(tmp_path / "maps", images, contract)
    for path in images:
        overlays.add(path, predict("red", 0.9))
    overlays.add(Path("broken.png"), Prediction(error="not readable"))
    names = {path.relative_to(tmp_path / "maps").as_posix() for path in (tmp_path / "maps").rglob("*.png")}
    assert names == {"a/1.png.heatmap.png", "a/2.png.heatmap.png", "b/1.png.heatmap.png"}
    written = cv2.imread(str(tmp_path / "maps/b/1.png.heatmap.png"))[..., ::-1]
    expected = overlay(np.full((70, 70, 3), 120, np.uint8), predict("red", 1).heatmap, 64 / 70)
    # A colour bar lies below it.
    assert np.array_equal(written[:70], expected)
    assert written.shape[0] > 70


def test_the_contact_sheet_has_a_band_a_class_with_the_most_confident_first(images, tmp_path):
    contract = tiny_contract(size_px=70, heatmap=MAP)
    overlays = OverlayFolder(tmp_path / "maps", images, contract)
    for path, confidence in zip(images, (0.5, 0.9, 0.7), strict=True):
        overlays.add(path, predict("green", confidence))
    path = overlays.write_contact_sheet()
    assert path == tmp_path / "maps" / CONTACT_SHEET
    sheet = cv2.imread(str(path))
    # Two bands without an image, of two lines of text, beside that of three lines, images and overlays.
    assert sheet.shape[0] == 2 * 44 + 66 + 2 * 248 + 8
    # Brightness 60 is the surest, then 120, then 0.
    row = sheet[44 + 66 + 120, :, 0]
    assert [int(row[120 + 248 * column]) for column in range(4)] == [60, 120, 0, 255]


def test_only_the_strongest_are_kept(images, tmp_path):
    overlays = OverlayFolder(tmp_path / "maps", images, tiny_contract(size_px=70, heatmap=MAP))
    for i in range(40):
        overlays.add(images[i % 3], predict("red", i / 40))
    kept = overlays._strongest["red"]
    assert sorted(entry[0] for entry in kept) == [i / 40 for i in range(34, 40)]


def test_an_image_that_has_gone_has_no_overlay(images, tmp_path):
    overlays = OverlayFolder(tmp_path / "maps", images, tiny_contract(size_px=70, heatmap=MAP))
    images[0].unlink()
    overlays.add(images[0], predict("red", 0.9))
    assert not (tmp_path / "maps").exists()


def test_no_overlay_leaves_its_folder(images, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    cv2.imwrite("here.png", np.zeros((70, 70, 3), np.uint8))
    paths = [Path("../images/a/1.png"), Path("here.png")]
    overlays = OverlayFolder(Path("maps"), paths, tiny_contract(size_px=70, heatmap=MAP))
    for path in paths:
        overlays.add(path, predict("red", 0.9))
    drawn = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.heatmap.png")}
    assert drawn == {"work/maps/images/a/1.png.heatmap.png", "work/maps/work/here.png.heatmap.png"}


def test_images_with_the_longest_names_keep_their_overlays_apart(tmp_path):
    names = ["x" * 250 + f"{i}.png" for i in range(2)] + ["é" * 125 + "1.png"]
    paths = [tmp_path / "images" / name for name in names]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(cv2.imencode(".png", GREY)[1].tobytes())
    overlays = OverlayFolder(tmp_path / "maps", paths, tiny_contract(size_px=70, heatmap=MAP))
    for path in paths:
        overlays.add(path, predict("red", 0.9))
    written = [path.name for path in (tmp_path / "maps").iterdir()]
    assert len(written) == 3
    assert all(name.endswith(".heatmap.png") and len(name.encode()) <= 255 for name in written)


def test_an_overlay_never_replaces_an_image(images, tmp_path):
    beside = images[0].with_name("1.png.heatmap.png")
    beside.write_bytes(images[0].read_bytes())
    (tmp_path / "elsewhere").symlink_to(images[0].parents[1])
    contract = tiny_contract(size_px=70, heatmap=MAP)
    for folder in (tmp_path / "images", tmp_path / "images/a/..", tmp_path / "elsewhere"):
        with pytest.raises(AllkitError, match=r"would overwrite .*1\.png\.heatmap\.png"):
            OverlayFolder(folder, [*images, beside], contract)
        OverlayFolder(folder, images, contract)
    sheet = tmp_path / "images" / CONTACT_SHEET
    sheet.write_bytes(images[0].read_bytes())
    with pytest.raises(AllkitError, match=f"would overwrite .*{CONTACT_SHEET}"):
        OverlayFolder(tmp_path / "images", [*images, sheet], contract)


def test_the_contact_sheet_does_not_depend_on_the_order_of_equal_images(images, tmp_path):
    sheets = []
    for name, order in (("a", images), ("b", images[::-1])):
        overlays = OverlayFolder(tmp_path / name, images, tiny_contract(size_px=70, heatmap=MAP))
        for path in order:
            overlays.add(path, predict("red", 0.9))
        sheets.append(overlays.write_contact_sheet().read_bytes())
    assert sheets[0] == sheets[1]

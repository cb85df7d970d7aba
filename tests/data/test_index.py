import hashlib
import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from allkit.data.index import fingerprint, read, scan
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from trees import make_chain, make_tree, shallow_stack


def test_classes_are_the_sub_folders_and_files_come_in_natural_order(tmp_path):
    dataset = scan(make_tree(tmp_path, {"B": 11, "A": 2}))
    assert dataset.classes == ("A", "B")
    assert dataset.paths[:2] == ("A/A-1.png", "A/A-2.png")
    assert dataset.paths[2:5] == ("B/B-1.png", "B/B-2.png", "B/B-3.png")
    assert dataset.paths[-1] == "B/B-11.png"
    assert dataset.labels.tolist() == [0] * 2 + [1] * 11
    assert dataset.counts() == {"A": 2, "B": 11}


def test_the_outer_folder_of_the_kaggle_archive_is_entered(tmp_path):
    make_tree(tmp_path / "Original", {"A": 1, "B": 1})
    make_tree(tmp_path / "Segmented", {"A": 1, "B": 1})
    dataset = scan(tmp_path)
    assert dataset.root == tmp_path / "Original"
    assert dataset.classes == ("A", "B")


def test_stray_files_are_left_out_with_a_reason(tmp_path):
    make_tree(tmp_path, {"A": 1, "B": 1})
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "A" / "notes.txt").write_text("hello")
    (tmp_path / ".DS_Store").write_text("hidden")
    dataset = scan(tmp_path)
    assert len(dataset) == 2
    assert dict(dataset.skipped) == {
        "readme.txt": "not in a class folder",
        "A/notes.txt": "not an image by its name",
    }


def test_links_to_folders_and_names_that_are_not_utf8_are_left_out_with_a_reason(tmp_path):
    make_tree(tmp_path / "tree", {"A": 1, "B": 1})
    make_tree(tmp_path, {"elsewhere": 1})
    (tmp_path / "tree" / "A" / "link").symlink_to(tmp_path / "elsewhere")
    shutil.copy(tmp_path / "tree" / "A" / "A-1.png", os.fsencode(tmp_path / "tree" / "A") + b"/\xff.png")
    dataset = scan(tmp_path / "tree")
    assert dataset.paths == ("A/A-1.png", "B/B-1.png")
    assert dict(dataset.skipped) == {"A/link": "a link to a folder", "A/?.png": "its name is not UTF-8"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such paths")
def test_a_class_deeper_than_the_stack_is_read_and_what_has_too_long_a_path_left_out(tmp_path):
    make_tree(tmp_path, {"A": 1, "B": 1})
    make_chain(tmp_path / "A", "d", 200, "notes.txt")
    shutil.copy(tmp_path / "A/A-1.png", Path(tmp_path, "A", *["d"] * 200, "deep.png"))
    make_chain(tmp_path / "B", "d" * 250, 20, "deep.png")
    with shallow_stack():
        dataset = scan(tmp_path)
    assert dataset.paths == ("A/A-1.png", "A/" + "d/" * 200 + "deep.png", "B/B-1.png")
    assert sorted(dataset.skipped.values()) == ["cannot be opened: File name too long", "not an image by its name"]
    assert read(dataset, PixelPath(16)).pixels.shape == (3, 16, 16, 3)


def test_a_wrong_path_an_empty_class_and_a_single_class_are_named(tmp_path):
    with pytest.raises(AllkitError, match="nowhere is not a folder"):
        scan(tmp_path / "nowhere")
    make_tree(tmp_path, {"A": 1})
    with pytest.raises(AllkitError, match="only the class folder A"):
        scan(tmp_path)
    (tmp_path / "B").mkdir()
    with pytest.raises(AllkitError, match=r"B holds no images"):
        scan(tmp_path)
    shutil.rmtree(tmp_path / "A")
    shutil.rmtree(tmp_path / "B")
    with pytest.raises(AllkitError, match="no class folder"):
        scan(tmp_path)


def test_a_class_named_like_a_column_of_the_results_is_refused(tmp_path):
    with pytest.raises(AllkitError, match="cannot be called 'label'"):
        scan(make_tree(tmp_path, {"A": 1, "label": 1}))


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    make_tree(tmp_path, {"A": 1, "B": 1, "A/.thumbnails": 2, ".cache": 1})
    dataset = scan(tmp_path)
    assert dataset.counts() == {"A": 1, "B": 1}
    assert not dataset.skipped


def test_reading_hashes_and_resizes_and_leaves_out_what_cannot_be_read(tmp_path):
    make_tree(tmp_path, {"A": 2, "B": 1})
    (tmp_path / "A" / "broken.png").write_bytes(b"no image")
    seen = []
    images = read(scan(tmp_path), PixelPath(16), lambda: seen.append(1))
    assert len(seen) == 4
    assert images.pixels.shape == (3, 16, 16, 3)
    assert images.pixels.dtype == np.uint8
    assert images.dataset.labels.tolist() == [0, 0, 1]
    assert "not a readable image" in images.dataset.skipped["A/broken.png"]
    first = hashlib.sha256((tmp_path / "A" / "A-1.png").read_bytes()).hexdigest()
    assert images.hashes[0] == first == images.hashes_by_path["A/A-1.png"]


def test_without_a_pixel_path_no_pixel_is_kept_and_the_traits_do_not_depend_on_it(tmp_path):
    dataset = scan(make_tree(tmp_path, {"A": 2, "B": 1}))
    bare, small, large = read(dataset), read(dataset, PixelPath(16)), read(dataset, PixelPath(48))
    assert len(bare.pixels) == 0
    for images in (small, large):
        assert images.hashes == bare.hashes
        assert np.array_equal(images.difference_hashes, bare.difference_hashes)
        assert np.array_equal(images.colour_histograms, bare.colour_histograms)


def test_the_baseline_is_the_share_of_images_whose_nearest_colours_have_their_label(tmp_path):
    for name, colour, count in (("Red", (0, 0, 200), 3), ("Blue", (200, 0, 0), 3)):
        (tmp_path / name).mkdir()
        for i in range(count):
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), np.full((8, 8, 3), colour, np.uint8))
    # A red picture among the blue ones is nearest to a red one.
    cv2.imwrite(str(tmp_path / "Blue" / "3.png"), np.full((8, 8, 3), (0, 0, 200), np.uint8))
    images = read(scan(tmp_path))
    baseline = images.baseline(["Red/0.png", "Blue/0.png"], ["Red/1.png", "Red/2.png", "Blue/1.png", "Blue/3.png"])
    assert baseline.value == 3 / 4


def test_a_class_of_which_nothing_can_be_read_is_an_error(tmp_path):
    make_tree(tmp_path, {"A": 1})
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "broken.png").write_bytes(b"no image")
    with pytest.raises(AllkitError, match="class B"):
        read(scan(tmp_path), PixelPath(16))


def test_the_fingerprint_changes_with_a_byte_and_with_a_name(tmp_path):
    dataset = scan(make_tree(tmp_path, {"A": 1, "B": 1}))
    before = read(dataset).hashes_by_path
    assert fingerprint(before) == fingerprint(dict(reversed(before.items())))
    with (tmp_path / "A" / "A-1.png").open("ab") as stream:
        stream.write(b"\0")
    after = read(dataset).hashes_by_path
    assert fingerprint(after) != fingerprint(before)
    assert fingerprint({"C": before["A/A-1.png"], "B/B-1.png": before["B/B-1.png"]}) != fingerprint(before)


def test_the_real_images_are_counted_as_published(shared_data):
    dataset = scan(shared_data / "all")
    assert dataset.counts() == {"Benign": 429, "Early": 838, "Pre": 819, "Pro": 684}


def test_pixels_are_those_that_the_pixel_path_loads_from_the_file(tmp_path):
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(len(name)).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / name / "smear.jpg"), noise)
    for pixels in (PixelPath(32), PixelPath(32, jpeg_scale=2)):
        images = read(scan(tmp_path), pixels)
        loaded = [pixels.load(tmp_path / path) for path in images.dataset.paths]
        assert np.array_equal(images.pixels, loaded)


def test_a_class_folder_that_cannot_be_opened_is_not_called_empty(tmp_path, monkeypatch):
    make_tree(tmp_path, {"A": 1, "B": 1})
    opened = os.scandir

    def guarded(path):
        if os.fspath(path) == str(tmp_path / "B"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return opened(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(AllkitError, match="B cannot be opened: Permission denied"):
        scan(tmp_path)


def test_a_tree_that_may_not_be_entered_is_named(tmp_path, monkeypatch):
    make_tree(tmp_path, {"A": 1, "B": 1})
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(AllkitError, match="cannot be listed or entered"):
        scan(tmp_path)


def test_images_are_read_by_no_more_threads_than_there_are_cores(tmp_path, monkeypatch):
    from allkit.data import index

    asked = []

    class Pool(index.ThreadPoolExecutor):
        def __init__(self, count):
            asked.append(count)
            super().__init__(count)

    monkeypatch.setattr(index, "cores", lambda: 3)
    monkeypatch.setattr(index, "ThreadPoolExecutor", Pool)
    read(scan(make_tree(tmp_path, {"A": 1, "B": 1})))
    assert asked == [3]

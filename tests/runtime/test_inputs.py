import os
import sys
from pathlib import Path

import pytest

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import read_bytes
from allkit.runtime.inputs import expand
from trees import make_chain, shallow_stack


@pytest.fixture
def tree(tmp_path):
    for name in (
        "img10.jpg",
        "img2.jpg",
        "sub/img1.PNG",
        "sub/deep/x.tiff",
        "notes.txt",
        ".hidden.jpg",
        ".cache/thumb.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def test_a_folder_becomes_its_images_in_natural_order_without_hidden_ones(tree):
    names = [path.relative_to(tree).as_posix() for path in expand([tree])]
    assert names == ["img2.jpg", "img10.jpg", "sub/deep/x.tiff", "sub/img1.PNG"]


def test_heat_maps_in_the_folder_of_the_images_are_not_classified(tree):
    (tree / "img2.jpg.heatmap.png").write_bytes(b"")
    (tree / "contact-sheet.heatmap.png").write_bytes(b"")
    assert len(expand([tree])) == 4
    assert expand([tree / "img2.jpg.heatmap.png"]) == [tree / "img2.jpg.heatmap.png"]


def test_arguments_keep_their_order(tree):
    assert expand([tree / "sub", tree / "img2.jpg"]) == [
        tree / "sub/deep/x.tiff",
        tree / "sub/img1.PNG",
        tree / "img2.jpg",
    ]


def test_a_file_named_explicitly_is_taken_whatever_its_name(tree):
    named = [tree / "notes.txt", tree / ".hidden.jpg"]
    assert expand(named) == named


def test_a_path_that_does_not_exist_is_kept_for_an_error_in_its_place(tree):
    assert expand([tree / "gone.jpg", tree / "img2.jpg"]) == [tree / "gone.jpg", tree / "img2.jpg"]


def test_a_hidden_folder_named_explicitly_is_read(tree):
    assert expand([tree / ".cache"]) == [tree / ".cache/thumb.jpg"]


def test_a_folder_that_may_not_be_read_is_kept_for_an_error_in_its_place(tree, monkeypatch):
    scandir = os.scandir

    def refusing(path):
        if os.fspath(path) == os.fspath(tree / "sub"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert expand([tree]) == [tree / "img2.jpg", tree / "img10.jpg", tree / "sub"]


def test_nothing_to_read_is_an_error_that_names_the_folder(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(AllkitError, match=rf"no image in {tmp_path}.*\.jpg"):
        expand([tmp_path])


def test_a_path_that_comes_twice_is_taken_once(tree):
    paths = expand([tree / "img2.jpg", tree, tree / "sub"])
    assert [path.relative_to(tree).as_posix() for path in paths] == [
        "img2.jpg",
        "img10.jpg",
        "sub/deep/x.tiff",
        "sub/img1.PNG",
    ]


def test_links_that_lead_nowhere_or_in_circles_are_kept_for_an_error_and_never_followed(tree):
    (tree / "sub/round").symlink_to(tree, target_is_directory=True)
    (tree / "sub/loop.jpg").symlink_to("loop.jpg")
    (tree / "sub/broken.jpg").symlink_to("nowhere.jpg")
    names = [path.name for path in expand([tree / "sub"])]
    assert names == ["broken.jpg", "x.tiff", "img1.PNG", "loop.jpg"]
    for name in ("broken.jpg", "loop.jpg"):
        with pytest.raises(AllkitError, match=f"cannot read .*{name}"):
            read_bytes(tree / "sub" / name)


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "a/" * 3000 + "b.jpg", "nul\0.jpg"])
def test_a_name_that_no_file_can_have_is_kept_for_an_error_in_its_place(name):
    assert expand([Path(name)]) == [Path(name)]
    with pytest.raises(AllkitError, match="cannot read"):
        read_bytes(Path(name))


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such paths")


@posix
def test_a_tree_deeper_than_the_stack_is_read_to_its_end(tree):
    make_chain(tree / "sub", "d", 200, "x.jpg")
    with shallow_stack():
        found = expand([tree / "sub"])
    assert found == [Path(tree, "sub", *["d"] * 200, "x.jpg"), tree / "sub/deep/x.tiff", tree / "sub/img1.PNG"]


@posix
def test_a_path_too_long_for_the_system_is_kept_for_an_error_in_its_place(tree):
    make_chain(tree / "sub", "d" * 250, 20, "x.jpg")
    place, *others = expand([tree / "sub"])
    assert others == [tree / "sub/deep/x.tiff", tree / "sub/img1.PNG"]
    assert set(place.relative_to(tree / "sub").parts) == {"d" * 250}
    with pytest.raises(AllkitError, match=r"cannot read .*: File name too long"):
        read_bytes(place)


def test_a_hundred_thousand_images_come_in_natural_order(tmp_path):
    for i in range(100_000):
        os.mknod(tmp_path / f"{i}.jpg")
    assert [path.name for path in expand([tmp_path])] == [f"{i}.jpg" for i in range(100_000)]

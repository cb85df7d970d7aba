import os
import shutil
import time
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("watchfiles")

from allkit.classification import arrivals as room
from allkit.classification.arrivals import Settling, arrivals


def test_a_file_is_whole_when_it_has_rested(tmp_path):
    path = tmp_path / "a.jpg"
    settling = Settling(2.0, set())
    path.write_bytes(b"1")
    settling.add([path])
    assert settling.whole(10.0) == []
    assert settling.whole(11.9) == []
    # Still being written: the rest begins anew.
    path.write_bytes(b"12")
    assert settling.whole(12.0) == []
    assert settling.whole(13.9) == []
    assert settling.whole(14.0) == [path]
    settling.add([path])
    assert settling.whole(99.0) == []


def test_a_change_that_keeps_the_size_is_a_change(tmp_path):
    path = tmp_path / "a.jpg"
    settling = Settling(2.0, set())
    path.write_bytes(b"1")
    settling.add([path])
    settling.whole(0.0)
    os.utime(path, ns=(1, 1))
    assert settling.whole(2.0) == []
    assert settling.whole(4.0) == [path]


def test_empty_files_and_what_is_gone_or_no_file_are_not_whole(tmp_path):
    empty, gone, folder = tmp_path / "empty.jpg", tmp_path / "gone.jpg", tmp_path / "folder.jpg"
    empty.touch()
    gone.write_bytes(b"1")
    folder.mkdir()
    settling = Settling(1.0, set())
    settling.add([empty, gone, folder])
    settling.whole(0.0)
    gone.unlink()
    assert settling.whole(5.0) == []
    empty.write_bytes(b"1")
    gone.write_bytes(b"1")
    settling.add([gone])
    settling.whole(6.0)
    assert settling.whole(7.0) == [empty, gone]


def test_whole_files_come_in_natural_order(tmp_path):
    paths = [tmp_path / f"{number}.jpg" for number in (10, 9, 1)]
    for path in paths:
        path.write_bytes(b"1")
    settling = Settling(0.0, {paths[2]})
    settling.add(paths)
    settling.whole(0.0)
    assert settling.whole(0.0) == [paths[1], paths[0]]


def until(stream, wanted, seconds=20.0):
    """What has come until `wanted` are there."""
    end, found = time.monotonic() + seconds, []
    while len(found) < wanted and time.monotonic() < end:
        found += next(stream)
    return found


@pytest.fixture
def stream(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_TICK_S", 0.05)
    folder = tmp_path / "camera"
    folder.mkdir()
    (folder / "old.jpg").write_bytes(b"1")
    made = arrivals(folder, 0.1, {folder / "old.jpg"})
    yield folder, made
    made.close()


def test_images_come_from_any_depth_and_nothing_else_does(stream):
    folder, made = stream
    list(islice(made, 2))
    (folder / "below").mkdir()
    (folder / ".hidden").mkdir()
    for name in ("a.jpg", "below/b.png", ".hidden/c.jpg", ".d.jpg", "notes.txt", "a.jpg.heatmap.png"):
        (folder / name).write_bytes(b"1")
    assert sorted(until(made, 2)) == [folder / "a.jpg", folder / "below" / "b.png"]
    assert [path for some in islice(made, 8) for path in some] == []


def test_a_file_that_is_renamed_into_place_comes(stream):
    folder, made = stream
    list(islice(made, 2))
    (folder / "a.jpg.part").write_bytes(b"1")
    assert [path for some in islice(made, 5) for path in some] == []
    (folder / "a.jpg.part").rename(folder / "a.jpg")
    assert until(made, 1) == [folder / "a.jpg"]


def test_what_the_system_does_not_tell_is_found_by_listing(stream, monkeypatch):
    folder, made = stream
    monkeypatch.setattr(room, "_LEAST_RELIST_S", 0.2)
    monkeypatch.setattr(room.watchfiles, "watch", lambda *_, **__: iter(lambda: time.sleep(0.05) or set(), None))
    next(made)
    (folder / "a.jpg").write_bytes(b"1")
    assert until(made, 1) == [folder / "a.jpg"]


def test_a_folder_that_goes_away_and_comes_back_is_survived(stream):
    folder, made = stream
    list(islice(made, 2))
    shutil.rmtree(folder)
    assert [path for some in islice(made, 5) for path in some] == []
    folder.mkdir()
    for name in ("old.jpg", "a.jpg"):
        (folder / name).write_bytes(b"1")
    assert until(made, 1) == [Path(folder / "a.jpg")]
    (folder / "b.jpg").write_bytes(b"1")
    assert until(made, 1) == [folder / "b.jpg"]

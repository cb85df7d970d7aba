import json
import os
import sys
from pathlib import Path

import pytest

from allkit.errors import AllkitError
from allkit.files import (
    cache_folder,
    check_folder,
    check_replaceable,
    listing,
    read_cache,
    replacing,
    writable_cache,
    write_cache,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "record.json"
    write_text(path, "old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half of the ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_write_replaces_the_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "record.json"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AllkitError, match="cannot write"):
        write_text(tmp_path / "file" / "below", "text")


def test_a_folder_or_a_device_is_never_replaced(tmp_path):
    for path in (tmp_path, "/dev/null"):
        with pytest.raises(AllkitError, match="not a regular file"):
            write_text(path, "text")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "allkit"


def test_what_is_written_to_the_cache_is_read_again(cache):
    assert read_cache("verdicts.json") == {}
    assert write_cache("verdicts.json", {"model": {"good": True}})
    assert read_cache("verdicts.json") == {"model": {"good": True}}
    assert json.loads((cache / "verdicts.json").read_text()) == {"model": {"good": True}}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b'"text"', b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000])
def test_a_damaged_file_of_the_cache_is_an_empty_one(cache, content):
    cache.mkdir(parents=True)
    (cache / "verdicts.json").write_bytes(content)
    assert read_cache("verdicts.json") == {}


def without_home(monkeypatch):
    """No variable that names a folder, and a user whom the system does not know."""
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME", "USERPROFILE", "HOMEPATH", "HOMEDRIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)


def below_a_file(monkeypatch, folder):
    (folder / "file").write_text("")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder / "file" / "below"))


def test_without_a_home_there_is_no_cache(monkeypatch):
    without_home(monkeypatch)
    assert cache_folder() is None
    assert writable_cache("engines") is None
    assert read_cache("verdicts.json") == {}
    assert not write_cache("verdicts.json", {"a": 1})


def test_a_cache_that_cannot_be_made_forgets(tmp_path, monkeypatch):
    below_a_file(monkeypatch, tmp_path)
    assert writable_cache("engines") is None
    assert read_cache("verdicts.json") == {}
    assert not write_cache("verdicts.json", {"a": 1})


def test_a_writable_folder_of_the_cache_is_made(cache):
    assert writable_cache("engines", "one") == cache / "engines" / "one"
    assert (cache / "engines" / "one").is_dir()


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "file/below", "loop", "folder", "below/" + "x" * 300 + "/a"])
def test_what_cannot_be_written_shows_before_the_work(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for check in (check_replaceable, lambda path: write_text(path, "text")):
        with pytest.raises(AllkitError, match="cannot write"):
            check(tmp_path / name)
    if name != "folder":
        with pytest.raises(AllkitError, match="cannot write to"):
            check_folder(tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_can_be_written_passes_and_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("new.json", "a/b/new.json", str(tmp_path / "c" / "new.json"), "y" * 255):
        check_replaceable(Path(path))
    for path in (".", "a/b", str(tmp_path)):
        check_folder(Path(path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_permission_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    for path in (tmp_path / "new.json", tmp_path / "a" / "b" / "new.json"):
        with pytest.raises(AllkitError, match="may not be written"):
            check_replaceable(path)


def test_the_longest_name_that_a_file_can_have_is_written(tmp_path):
    for name in ("é" * 127, "x" * 251 + ".csv", "x." + "y" * 253):
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"


def test_visible_names_are_listed_in_order_and_hidden_ones_not(tmp_path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).write_text("")
    assert listing(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert listing(tmp_path / "none") == listing(tmp_path / "a") == []
    with pytest.raises(AllkitError, match="cannot read"):
        listing(tmp_path / ("x" * 300))

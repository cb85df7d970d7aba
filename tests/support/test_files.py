import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import SUFFIXES
from allkit.support.files import (
    cache_folder,
    check_folder,
    check_replaceable,
    check_text_file,
    listing,
    read_cache,
    replacing,
    writable_cache,
    write_cache,
    write_text,
)
from trees import shallow_stack


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
        with pytest.raises(AllkitError, match="is not writable"):
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


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these links nor these locks")


@posix
def test_a_link_is_never_followed_or_replaced(tmp_path):
    victim, link, dangling = tmp_path / "victim", tmp_path / "record.json", tmp_path / "dangling.json"
    victim.write_text("old")
    link.symlink_to(victim)
    dangling.symlink_to(tmp_path / "nowhere")
    for path in (link, dangling):
        with pytest.raises(AllkitError, match=f"cannot write {path}: it is a link"):
            write_text(path, "new")
        assert path.is_symlink()
    assert victim.read_text() == "old"
    assert not (tmp_path / "nowhere").exists()


def test_a_source_is_not_replaced_by_whatever_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = Path("a.jpg")
    source.write_text("image")
    os.link(source, "same.csv")
    Path("sub").mkdir()
    Path("other.csv").write_text("old")
    for name in ("a.jpg", "./a.jpg", "sub/../a.jpg", tmp_path / "a.jpg", "same.csv"):
        with pytest.raises(AllkitError, match=r"it is a\.jpg, which is an input"):
            check_replaceable(Path(name), [Path("gone.jpg"), source])
    check_replaceable(Path("other.csv"), [source])
    check_replaceable(Path("new.csv"), [source])
    if sys.platform != "win32":
        Path("link.jpg").symlink_to("other.csv")
        with pytest.raises(AllkitError, match=r"it is link\.jpg"):
            check_replaceable(Path("other.csv"), [Path("link.jpg")])


def test_two_temporaries_of_one_file_are_two_files_with_the_usual_rights(tmp_path):
    path = tmp_path / "record.json"
    with replacing(path) as one, replacing(path) as two:
        assert one != two
        assert one.suffix == two.suffix == ".json"
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"
    (tmp_path / "plain").write_text("")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_planted_link_at_a_temporary_name_is_not_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("old")
    names = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(names))
    (tmp_path / f".allkit-{'0' * 16}.json").symlink_to(victim)
    with pytest.raises(AllkitError, match="cannot write"):
        write_text(tmp_path / "record.json", "new")
    assert victim.read_text() == "old"


KILLED = """
import os, signal, sys
from allkit.support.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@posix
def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_there(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "record.json"], check=False)
    (left,) = tmp_path.iterdir()
    others = {".allkit-notes.json", ".record.123.json", f".allkit-{'0' * 15}.json"}
    for name in others:
        (tmp_path / name).write_text("not of allkit")
    with replacing(tmp_path / "another.json") as temporary:
        temporary.write_text("whole")
        assert not left.exists()
    assert {path.name for path in tmp_path.iterdir()} == {*others, "another.json"}


@posix
def test_what_a_process_is_still_writing_is_not_removed(tmp_path):
    code = "import sys; from allkit.support.files import write_text; write_text(sys.argv[1], 'new')"
    with replacing(tmp_path / "one.json") as temporary:
        subprocess.run([sys.executable, "-c", code, tmp_path / "two.json"], check=True)
        temporary.write_text("whole")
    assert (tmp_path / "one.json").read_text() == "whole"


def test_a_folder_of_any_depth_is_made(tmp_path):
    path = Path(tmp_path, *["d"] * 200, "record.json")
    with shallow_stack():
        write_text(path, "deep")
    assert path.read_text() == "deep"


@pytest.mark.parametrize("suffix", sorted({*SUFFIXES, ".onnx", ".keras"}))
def test_text_is_not_written_to_what_is_named_like_an_image_or_a_model(tmp_path, suffix):
    check_text_file(tmp_path / "labels.csv")
    with pytest.raises(AllkitError, match=f"files named {suffix} are models or images"):
        check_text_file(tmp_path / f"old{suffix.upper()}")

import pytest

from allkit.errors import AllkitError
from allkit.files import replacing, write_text


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

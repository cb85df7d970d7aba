"""Folders of images into Parquet files, and their rows as `allkit classify` reads them."""

import os
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
from click.testing import CliRunner
from pyarrow import parquet

from allkit.archive import pack as packing
from allkit.archive.shards import Columns, opened, repeated_name, unpacked
from allkit.archive.storage import place_of
from allkit.cli.data import data
from allkit.errors import AllkitError
from classified import add_broken, folder, run

__all__ = ["folder"]


def pack(*arguments):
    return CliRunner().invoke(data, ["pack", *map(str, arguments)], catch_exceptions=False)


def rows(name="packed"):
    return [row for path in sorted(Path(name).glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]


def test_a_row_has_the_path_and_the_file_as_it_is(folder):
    told = pack("images", "--output", "packed")
    assert told.exit_code == 0
    assert "packed 2 image(s)" in told.output
    assert rows() == [
        {"path": str(path), "bytes": path.read_bytes(), "error": None}
        for path in map(Path, ("images/smear2.png", "images/smear10.png"))
    ]


def test_packed_images_have_the_rows_of_the_folder(folder):
    add_broken()
    pack("images", "--output", "packed")
    expected = run("images", "--format", "csv")
    assert run("packed", "--format", "csv").stdout == expected.stdout
    assert run("packed", "--output", "out.csv").exit_code == expected.exit_code == 1
    assert Path("out.csv").read_text() == expected.stdout


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
def test_a_file_that_cannot_be_read_has_its_row_with_the_error(folder):
    os.mkfifo("images/pipe.png")
    told = pack("images", "--output", "packed")
    assert told.exit_code == 1
    assert "1 could not be read" in told.output
    (row,) = [row for row in rows() if row["path"] == "images/pipe.png"]
    assert row == {
        "path": "images/pipe.png",
        "bytes": None,
        "error": "cannot read images/pipe.png: it is not a regular file",
    }
    assert "images/pipe.png,,,,,,cannot read images/pipe.png" in run("packed", "--format", "csv").stdout


def test_files_are_cut_by_size_and_resumed_with_what_is_new(folder, monkeypatch):
    monkeypatch.setattr(packing, "_GROUP_BYTES", 1)
    monkeypatch.setattr(packing, "_SHARD_BYTES", 1)
    assert "into 2 file(s)" in pack("images", "--output", "packed").output
    assert sorted(os.listdir("packed")) == ["images-00000.parquet", "images-00001.parquet"]
    Path("images/smear3.png").write_bytes(Path("images/smear2.png").read_bytes())
    with pytest.raises(AllkitError, match="add to them with --resume"):
        pack("images", "--output", "packed")
    assert "2 image(s) were there before" in pack("images", "--output", "packed", "--resume").output
    assert [row["path"] for row in rows()] == ["images/smear2.png", "images/smear10.png", "images/smear3.png"]


def test_no_file_is_replaced_where_an_earlier_one_was_taken_away(folder, monkeypatch):
    monkeypatch.setattr(packing, "_GROUP_BYTES", 1)
    monkeypatch.setattr(packing, "_SHARD_BYTES", 1)
    pack("images", "--output", "packed")
    os.unlink("packed/images-00000.parquet")
    pack("images", "--output", "packed", "--resume")
    assert sorted(os.listdir("packed")) == ["images-00001.parquet", "images-00002.parquet"]
    assert [row["path"] for row in rows()] == ["images/smear10.png", "images/smear2.png"]


def test_a_parquet_file_that_was_stopped_has_no_name(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing._Shards, "_finish", full)
    with pytest.raises(AllkitError, match="No space left on device; fix that, then add --resume"):
        pack("images", "--output", "packed")
    assert [name for name in os.listdir("packed") if not name.startswith(".")] == []


def test_columns_have_the_names_that_are_given(folder):
    image = Path("images/smear2.png").read_bytes()
    parquet.write_table(pa.table({"id": [7, 8], "jpeg": [image, None]}), "archive.parquet")
    with pytest.raises(
        AllkitError, match=r"no column path of names and bytes of encoded images, but id \(int64\), jpeg"
    ):
        run("archive.parquet", "--format", "csv")
    lines = run("archive.parquet", "--format", "csv", "--columns", "id,jpeg").stdout.splitlines()
    assert lines[1].startswith("7,red,0.615385")
    assert lines[2].startswith("8,,,,,,cannot read it: the row has no bytes")
    assert run("images", "--columns", "id").exit_code == 2


def test_a_damaged_parquet_file_has_a_row_and_the_others_theirs(folder):
    pack("images", "--output", "packed")
    whole = Path("packed/images-00000.parquet").read_bytes()
    Path("packed/images-00001.parquet").write_bytes(whole[: len(whole) // 2])
    lines = run("packed", "--format", "csv").stdout.splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [
        "images/smear2.png",
        "images/smear10.png",
        "packed/images-00001.parquet",
    ]
    assert "cannot read packed/images-00001.parquet" in lines[3]


def test_some_of_the_images_of_a_file_can_be_asked_for(folder):
    pack("images", "--output", "packed")
    images = unpacked([Path("packed/images-00000.parquet"), Path("images/smear2.png")], Columns())
    assert list(map(str, images)) == ["images/smear2.png", "images/smear10.png", "images/smear2.png"]
    assert list(opened(images[1:])) == [Path("images/smear10.png").read_bytes(), Path("images/smear2.png")]


def test_a_file_that_was_changed_gives_no_other_image(folder):
    pack("images", "--output", "packed")
    images = unpacked([Path("packed/images-00000.parquet")], Columns())
    os.unlink("packed/images-00000.parquet")
    os.unlink("images/smear2.png")
    pack("images", "--output", "packed", "--resume")
    first, second = opened(images)
    assert "has been changed in the meantime" in str(first)
    assert "has been changed in the meantime" in str(second)


def test_a_stopped_classification_goes_on(folder):
    add_broken()
    pack("images", "--output", "packed")
    run("packed", "--output", "out.csv", "--resume")
    expected = Path("out.csv").read_text()
    # The work of a job that was killed: what its journal has is not classified again.
    from allkit import Classifier
    from allkit.classification.job import journal_of

    classifier = Classifier(device="cpu")
    images = unpacked([Path("packed/images-00000.parquet")], Columns())
    with journal_of(Path("out.csv"), classifier) as journal:
        journal.left(images)
        journal.add(images[1], classifier(list(opened(images))[1]))
    told = run("packed", "--output", "out.csv", "--resume")
    assert "1 image(s) were classified before" in told.output
    assert Path("out.csv").read_text() == expected


def test_a_name_that_two_rows_have_is_found(folder):
    for name, names in (("a", ["x", "y"]), ("b", ["z", "y"])):
        parquet.write_table(pa.table({"path": names, "bytes": [b"", b""]}), f"{name}.parquet")
    places = [place_of("a.parquet"), place_of("b.parquet")]
    assert repeated_name(places, Columns()) == "y"
    assert repeated_name(places[:1], Columns()) is None


def test_heat_maps_are_refused_and_so_are_uris(folder):
    pack("images", "--output", "packed")
    for words, advice in (
        (["packed", "--heatmaps", "maps"], "leave out --heatmaps"),
        (["s3://bucket/x"], "add --ray"),
        (["images", "--output", "packed"], "is a folder"),
    ):
        told = run(*words)
        assert told.exit_code == 2
        assert advice in told.output

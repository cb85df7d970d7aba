"""The images below folders, on a disk and in a store that pyarrow lists."""

import os

import pytest

pytest.importorskip("pyarrow")

from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from allkit.archive.listing import Source, sources_of
from allkit.archive.storage import Place, place_of
from allkit.errors import AllkitError
from allkit.runtime.inputs import expand

FILES = (
    "b/smear10.jpg",
    "b/smear2.jpg",
    "a.PNG",
    "b/deep/x.tif",
    "b/.hidden.jpg",
    ".away/y.jpg",
    "notes.txt",
    "a.heatmap.png",
)
IMAGES = {"b/smear10.jpg", "b/smear2.jpg", "a.PNG", "b/deep/x.tif"}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        path = tmp_path / "smears" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def in_store(tree, folder="smears"):
    """A folder as a store has it: its paths begin with the bucket."""
    return Place(f"s3://{folder}", SubTreeFileSystem(str(tree), LocalFileSystem()), folder)


@pytest.mark.parametrize("given", ["smears", "./smears/", "."])
def test_a_folder_has_the_images_of_the_command_line_under_the_same_names(tree, given):
    (source,) = sources_of([given])
    assert sorted(place.name for place in source) == sorted(map(str, expand([tree.__class__(given)])))


def test_a_store_has_the_same_images(tree):
    names = [place.name for place in Source(in_store(tree), "images")]
    assert sorted(names) == sorted(f"s3://smears/{name}" for name in IMAGES)
    assert names.index("s3://smears/b/smear2.jpg") < names.index("s3://smears/b/smear10.jpg")


def test_a_place_in_a_store_is_read(tree):
    (tree / "smears" / "a.PNG").write_bytes(b"pixels")
    found = {place.name: place for place in Source(in_store(tree), "images")}
    assert found["s3://smears/a.PNG"].read() == b"pixels"
    os.unlink(tree / "smears" / "a.PNG")
    with pytest.raises(AllkitError, match=r"cannot read s3://smears/a.PNG"):
        found["s3://smears/a.PNG"].read()


def test_a_folder_without_images_stands_for_its_parquet_files(tree):
    (tree / "packed").mkdir()
    for name in ("images-00001.parquet", "images-00000.parquet", ".images-00002.parquet"):
        (tree / "packed" / name).touch()
    (source,) = sources_of(["packed"])
    assert source.kind == "shards"
    assert [place.name for place in source] == ["packed/images-00000.parquet", "packed/images-00001.parquet"]


def test_what_would_be_taken_twice_is_refused(tree):
    for twice in (["smears", "smears/b"], ["smears/b/../b", "smears/b/"]):
        with pytest.raises(AllkitError, match="would be taken twice"):
            sources_of(twice)
    # A name that only begins alike is another folder.
    (tree / "smears-2").mkdir()
    (tree / "smears-2" / "x.jpg").touch()
    assert len(sources_of(["smears", "smears-2"])) == 2


def test_a_name_has_neither_the_password_nor_the_settings_of_its_uri():
    place = place_of("s3://key:secret@bucket/smears/?region=eu-west-1&scheme=http")
    assert (place.name, place.path, place.local) == ("s3://bucket/smears", "bucket/smears", False)


def test_a_uri_that_pyarrow_does_not_know_is_an_error():
    with pytest.raises(AllkitError, match=r"cannot use gopher://bucket/x: .*give a path, or a URI"):
        place_of("gopher://bucket/x")


def test_a_folder_with_nothing_to_read_is_an_error(tree):
    (tree / "empty").mkdir()
    with pytest.raises(AllkitError, match="no image and no Parquet file in empty"):
        sources_of(["empty"])

"""What lies below a folder or in an object store, found as it goes, so that millions of names are never in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Literal

from allkit.archive.storage import Place, place_of
from allkit.errors import AllkitError, reason
from allkit.imaging.pixel_path import natural_key
from allkit.runtime.inputs import is_image_below, is_shard_below, is_shard_name
from allkit.support.tree import folders

_WANTED = {"images": is_image_below, "shards": is_shard_below}


@dataclass(frozen=True)
class Source:
    """An image, a Parquet file, or a folder of either kind."""

    place: Place
    kind: Literal["images", "shards"]

    def __iter__(self) -> Iterator[Place]:
        """The images or Parquet files, folder by folder, in natural order within each.

        A folder that cannot be listed stands for itself: reading it gives the error.
        """
        if not is_folder(self.place):
            yield self.place
        else:
            yield from _below(self.place, self.kind)


def sources_of(given: Iterable[str | Path]) -> list[Source]:
    """What was given, each a folder, a file or a URI; a folder without images stands for the Parquet files in it.

    Raises AllkitError where two of them overlap, where images and Parquet files are mixed, and where a folder has
    neither.
    """
    sources = [_source(place_of(text)) for text in given]
    ordered = sorted(sources, key=lambda source: _parts(source.place))
    for first, second in pairwise(ordered):
        if lies_in(second.place, first.place):
            raise AllkitError(f"{second.place.name} lies in {first.place.name} and would be taken twice: give it once")
    if len({source.kind for source in sources}) > 1:
        raise AllkitError("images and Parquet files cannot be mixed: give them one after the other")
    return sources


def lies_in(place: Place, folder: Place) -> bool:
    """Whether a place is a folder or lies below it, by their paths."""
    parts = _parts(folder)
    return _parts(place)[: len(parts)] == parts


def is_folder(place: Place) -> bool:
    """Whether a place is a folder; AllkitError when the store does not answer."""
    from pyarrow.fs import FileType

    if place.local:
        return os.path.isdir(place.path)
    try:
        return place.filesystem.get_file_info(place.path).type == FileType.Directory
    except OSError as error:
        raise AllkitError(f"cannot use {place.name}: {reason(error)}") from error


def _source(place: Place) -> Source:
    if not is_folder(place):
        return Source(place, "shards" if is_shard_name(place.path) else "images")
    for kind in _WANTED:
        if any(True for _ in _below(place, kind)):
            return Source(place, kind)
    raise AllkitError(f"no image and no Parquet file in {place.name}")


def _parts(place: Place) -> tuple[str, ...]:
    return place.filesystem.type_name, *filter(None, place.path.split("/"))


def _below(place: Place, kind: str) -> Iterator[Place]:
    for path, closed in _local(place) if place.local else _remote(place):
        relative = PurePosixPath(path.removeprefix(place.path).lstrip("/"))
        if closed or _WANTED[kind](relative):
            yield place.below(path)


def _local(place: Place) -> Iterator[tuple[str, bool]]:
    """The path of each file, and of each folder that cannot be listed with True beside it."""
    for tree in folders(Path(place.path)):
        found = [(str(path), False) for path in tree.files] + [(str(path), True) for path in tree.closed]
        yield from sorted(found, key=lambda one: natural_key(one[0]))


def _remote(place: Place) -> Iterator[tuple[str, bool]]:
    from pyarrow.fs import FileSelector, FileType

    waiting = [place.path]
    while waiting:
        folder = waiting.pop()
        try:
            # One folder at a time: pyarrow lists all that is below one only at once.
            inside = place.filesystem.get_file_info(FileSelector(folder))
        except OSError:
            yield folder, True
            continue
        waiting += [info.path for info in inside if info.type == FileType.Directory and info.base_name[:1] != "."]
        found = [(info.path, False) for info in inside if info.type == FileType.File]
        yield from sorted(found, key=lambda one: natural_key(one[0]))

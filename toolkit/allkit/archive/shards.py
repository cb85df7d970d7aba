"""Parquet files with an image in each row: a path, the bytes of its file, and where it could not be read an error.

Any Parquet file with a column of names and one of encoded images will do; `pack` writes such files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from allkit.archive.storage import Place, place_of
from allkit.errors import AllkitError, reason
from allkit.runtime.inputs import is_shard_name
from allkit.support.text import visible

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

# Rows that are read at a time.
_ROWS = 64
# What the rows of a file without an error have in its place.
ERROR = "error"


class Columns(NamedTuple):
    """The columns of a Parquet file: names, as strings or integers, and encoded images."""

    path: str = "path"
    data: str = "bytes"


DEFAULT_COLUMNS = Columns()


@dataclass(frozen=True, slots=True)
class Packed:
    """An image in a Parquet file on this machine. row: counted from 0. name: its path, as the file has it."""

    shard: Path
    columns: Columns
    row: int
    name: str

    def __str__(self) -> str:
        return self.name


def unpacked(paths: Iterable[Path], columns: Columns) -> list[Path | Packed]:
    """The paths with the images of each Parquet file in its place; one that cannot be read stands for itself.

    Raises AllkitError when a Parquet file has no such columns.
    """
    return [image for path in paths for image in (_packed(path, columns) if is_shard_name(path.name) else [path])]


def opened(images: Sequence[Path | Packed]) -> Iterable[Path | bytes | AllkitError]:
    """The images as a classifier takes them, in order; those of a Parquet file are read as they are asked for."""
    if not any(isinstance(image, Packed) for image in images):
        return images
    return _opened(images)


def check_columns(place: Place, columns: Columns) -> None:
    """Raise AllkitError when a Parquet file can be read and does not have these columns."""
    try:
        with _file(place) as file:
            _check(file, place, columns)
    except (OSError, ValueError):
        # Reading it gives the error.
        return


def row_schema() -> pa.Schema:
    """The columns of the rows that `pack` writes and `tables` gives, with their types."""
    import pyarrow as pa

    return pa.schema([("path", pa.string()), ("bytes", pa.binary()), (ERROR, pa.string())])


def tables(place: Place, columns: Columns, data: bool = True) -> Iterator[pa.Table]:
    """The rows of a Parquet file, some at a time: path, bytes (null where they are not wanted) and error.

    A file that cannot be read, or not to its end, has a last row with its name and the error.
    """
    import pyarrow as pa

    schema = row_schema()
    try:
        with _file(place) as file:
            _check(file, place, columns)
            wanted = [columns.path, *([columns.data] if data else []), *([ERROR] if _has_errors(file) else [])]
            for batch in file.iter_batches(_ROWS, columns=wanted):
                if batch.column(columns.path).null_count:
                    raise ValueError(f"a row has no {columns.path}")
                nothing = pa.nulls(batch.num_rows)
                found = batch.column(columns.path), batch.column(columns.data) if data else nothing
                errors = batch.column(ERROR) if ERROR in wanted else nothing
                arrays = [one.cast(kind) for one, kind in zip((*found, errors), schema.types, strict=True)]
                yield pa.Table.from_arrays(arrays, schema=schema)
    except (AllkitError, OSError, ValueError) as error:
        row = {"path": visible(place.name), "bytes": None, ERROR: f"cannot read {place.name}: {reason(error)}"}
        yield pa.Table.from_pylist([row], schema)


def names_in(place: Place, columns: Columns) -> Iterator[str]:
    """The names of the rows of a Parquet file, see `tables`."""
    for table in tables(place, columns, data=False):
        yield from table["path"].to_pylist()


def image_of(data: bytes | None, error: str | None) -> bytes | AllkitError:
    """What a classifier takes for a row."""
    if data is not None and error is None:
        return data
    return AllkitError(error or "cannot read it: the row has no bytes")


def repeated_name(shards: Sequence[Place], columns: Columns) -> str | None:
    """A name that two rows have, None where there is none; keeps eight bytes of each name."""
    parts = (np.fromiter(map(hash, names_in(shard, columns)), np.int64) for shard in shards)
    hashes, counts = np.unique(np.concatenate([np.empty(0, np.int64), *parts]), return_counts=True)
    # Different names may have one hash, if hardly ever.
    suspect, seen = set(hashes[counts > 1].tolist()), set()
    for name in (name for shard in shards for name in names_in(shard, columns)) if suspect else ():
        if hash(name) in suspect:
            if name in seen:
                return name
            seen.add(name)
    return None


def _packed(shard: Path, columns: Columns) -> Iterator[Packed]:
    place = place_of(shard)
    check_columns(place, columns)
    for row, name in enumerate(names_in(place, columns)):
        yield Packed(shard, columns, row, name)


def _opened(images: Iterable[Path | Packed]) -> Iterator[Path | bytes | AllkitError]:
    for shard, group in groupby(images, lambda image: image.shard if isinstance(image, Packed) else None):
        if shard is None:
            yield from group
        else:
            yield from _images(shard, list(group))


def _images(shard: Path, wanted: Sequence[Packed]) -> Iterator[bytes | AllkitError]:
    """The images of a Parquet file that are wanted, which are in its order."""
    rows = enumerate(row for table in tables(place_of(shard), wanted[0].columns) for row in table.to_pylist())
    last = {}
    for image in wanted:
        # The last row of a file that cannot be read to its end is the error of all that would follow.
        last = next((row for number, row in rows if number == image.row), last if last.get(ERROR) else {})
        if last.get("path") == image.name or last.get(ERROR):
            yield image_of(last["bytes"], last[ERROR])
        else:
            yield AllkitError(f"cannot read {image.name}: {shard} has been changed in the meantime")


def _file(place: Place) -> ParquetFile:
    from pyarrow.parquet import ParquetFile

    # Otherwise the bytes of a whole row group are in memory at once.
    return ParquetFile(place.filesystem.open_input_file(place.path), buffer_size=2**20, pre_buffer=False)


def _check(file: ParquetFile, place: Place, columns: Columns) -> None:
    from pyarrow import types

    schema = file.schema_arrow
    kinds = {field.name: field.type for field in schema}
    path, data = (kinds.get(name) for name in columns)
    named = path is not None and (types.is_string(path) or types.is_large_string(path) or types.is_integer(path))
    encoded = data is not None and (types.is_binary(data) or types.is_large_binary(data))
    if not (named and encoded):
        there = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise AllkitError(
            f"{place.name} has no column {columns.path} of names and {columns.data} of encoded images, but {there}: "
            "name yours with --columns PATH,BYTES"
        )


def _has_errors(file: ParquetFile) -> bool:
    from pyarrow import types

    return any(field.name == ERROR and types.is_string(field.type) for field in file.schema_arrow)

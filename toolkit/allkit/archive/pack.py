"""Many image files into few Parquet files: millions of small objects are slow wherever they lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from allkit.archive.listing import Source
from allkit.archive.shards import DEFAULT_COLUMNS, ERROR, names_in, row_schema
from allkit.archive.storage import Place
from allkit.errors import AllkitError, reason
from allkit.runtime.inputs import is_shard_below
from allkit.support.ahead import ahead
from allkit.support.text import visible

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter

# Of a Parquet file, what a worker takes at a time; of a row group, what a reader has in memory.
_SHARD_BYTES, _GROUP_BYTES = 2**27, 2**23
_NAME = re.compile(r"/images-(\d+)\.parquet$")


@dataclass
class Packing:
    """What was packed. images: rows written. failed: those of files that could not be read, with the error in their
    place. before: rows that were there. shards: files written. size: bytes of the images."""

    images: int = 0
    failed: int = 0
    before: int = 0
    shards: int = 0
    size: int = 0


def pack(
    sources: Sequence[Source], output: Place, resume: bool = False, on_image: Callable[[int], None] = lambda done: None
) -> Packing:
    """Write the images of folders or stores into Parquet files of about 128 MiB in the folder `output`.

    A row has the path, as `allkit classify` names it, and the bytes of the file as they are. A Parquet file takes its
    name when it is whole. resume: add what is not there yet. on_image: is told how many are done. Raises AllkitError
    when the folder has Parquet files and is not to be resumed, when a source holds Parquet files, or when the folder
    cannot be written.
    """
    if bad := next((source for source in sources if source.kind != "images"), None):
        raise AllkitError(f"{bad.place.name} holds Parquet files: give images to pack")
    packing = Packing()
    try:
        output.filesystem.create_dir(output.path)
        there = _shards_in(output)
        if there and not resume:
            raise AllkitError(f"{output.name} has Parquet files: add to them with --resume, or give another --output")
        done = {name for shard in there for name in names_in(shard, DEFAULT_COLUMNS)}
        packing.before = len(done)
        places = (place for source in sources for place in source if visible(place.name) not in done)
        first = _next_number(there)
        with _Shards(output, first) as shards:
            for row in ahead(_row, places):
                shards.add(row)
                packing.images += 1
                packing.failed += row[ERROR] is not None
                packing.size += len(row["bytes"] or b"")
                on_image(packing.images)
        packing.shards = shards.number - first
    except OSError as error:
        raise AllkitError(f"cannot write {output.name}: {reason(error)}; fix that, then add --resume") from error
    return packing


def _row(place: Place) -> dict[str, str | bytes | None]:
    data, failure = None, None
    try:
        data = place.read()
    except AllkitError as error:
        failure = str(error)
    return {"path": visible(place.name), "bytes": data, ERROR: failure and visible(failure)}


def _shards_in(output: Place) -> list[Place]:
    from pyarrow.fs import FileSelector

    found = output.filesystem.get_file_info(FileSelector(output.path))
    return [output.below(info.path) for info in found if is_shard_below(PurePosixPath(info.base_name))]


def _next_number(shards: Sequence[Place]) -> int:
    """One that no file has: some of those before it may have been taken away."""
    numbers = [int(found[1]) for shard in shards if (found := _NAME.search(shard.path))]
    return max(numbers, default=-1) + 1


class _Shards:
    """Parquet files that rows go into, to be used in a `with` statement; what is not whole at an error is left behind
    under a hidden name. number: that of the next file."""

    def __init__(self, output: Place, number: int):
        self._output, self.number = output, number
        self._rows: list[dict] = []
        self._group_bytes = self._shard_bytes = 0
        self._writer: ParquetWriter | None = None

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self._finish()
        elif self._writer:
            self._writer.close()

    def add(self, row: dict) -> None:
        """Take one more row."""
        self._rows.append(row)
        self._group_bytes += len(row["bytes"] or b"") + len(row["path"])
        if self._group_bytes >= _GROUP_BYTES:
            self._write()
        if self._shard_bytes >= _SHARD_BYTES:
            self._finish()

    def _write(self) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        schema = row_schema()
        if self._writer is None:
            compression = {"path": "zstd", "bytes": "none", ERROR: "zstd"}
            self._writer = ParquetWriter(
                self._hidden, schema, filesystem=self._output.filesystem, compression=compression, use_dictionary=False
            )
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema))
        self._shard_bytes += self._group_bytes
        self._rows, self._group_bytes = [], 0

    def _finish(self) -> None:
        if self._rows:
            self._write()
        if self._writer:
            self._writer.close()
            self._output.filesystem.move(self._hidden, f"{self._output.path}/{self._name}")
            self._writer, self._shard_bytes, self.number = None, 0, self.number + 1

    @property
    def _name(self) -> str:
        return f"images-{self.number:05}.parquet"

    @property
    def _hidden(self) -> str:
        return f"{self._output.path}/.{self._name}"

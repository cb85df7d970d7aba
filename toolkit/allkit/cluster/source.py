"""The images of an archive as a Ray Data source: names to be read by the workers, or the rows of Parquet files.

Folders are listed by the cluster, not by the driver, whose memory does not grow with their number. Names are what Ray
compares with its checkpoint, so that a resumed job reads no image again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

import pyarrow as pa
from ray.data import Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask

from allkit.archive.listing import Source
from allkit.archive.shards import Columns, tables
from allkit.archive.storage import Place
from allkit.cluster.output import KEY
from allkit.support.text import visible

# Rows of a block as it is made; Ray joins them into blocks of its `target_max_block_size`.
_ROWS = 256
# What Ray aims at for a block: some 1,500 names, or 1,600 images of 20 KB. One is the unit of a worker's work, of an
# output file, and of what a lost worker repeats.
NAMES_BYTES, IMAGES_BYTES = 2**18, 2**25

# How a name is found again: the number of the source, and the path there, which need not be UTF-8.
_NAMES = pa.schema([(KEY, pa.string()), ("source", pa.int32()), ("location", pa.binary())])


class Images(Datasource):
    """Blocks with the columns path, source and location for images, or path, bytes and error for Parquet files."""

    def __init__(self, sources: Sequence[Source], columns: Columns):
        super().__init__()
        self._reads: list[Callable[[], Iterator[pa.Table]]] = []
        for number, source in enumerate(sources):
            if source.kind == "images":
                self._reads.append(partial(_names, number, source))
            else:
                self._reads += [partial(tables, shard, columns) for shard in source]

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown: nothing has been listed yet."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: object = None
    ) -> list[ReadTask]:
        """One task for each source of images, which lists it, and for each Parquet file."""
        metadata = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None)
        return [ReadTask(read, metadata, per_task_row_limit=per_task_row_limit) for read in self._reads]

    @property
    def tasks(self) -> int:
        """The number of tasks."""
        return len(self._reads)


def place_at(source: Source, location: bytes) -> Place:
    """The image that a row of names stands for."""
    return source.place.below(os.fsdecode(location))


def _names(number: int, source: Source) -> Iterator[pa.Table]:
    places = iter(source)
    while some := list(islice(places, _ROWS)):
        rows = [{KEY: visible(one.name), "source": number, "location": os.fsencode(one.path)} for one in some]
        yield pa.Table.from_pylist(rows, _NAMES)

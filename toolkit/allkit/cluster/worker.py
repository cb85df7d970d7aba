"""What a process of the cluster does: one classifier, and blocks of images into blocks of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import ray
from ray.actor import ActorHandle

from allkit.archive.listing import Source
from allkit.archive.shards import image_of
from allkit.archive.storage import Place
from allkit.classification.rows import optional_columns, parquet_table
from allkit.cluster.output import KEY
from allkit.cluster.source import place_at
from allkit.errors import AllkitError
from allkit.runtime.classifier import Classifier
from allkit.support.ahead import ahead


class Worker:
    """Blocks of `Images` to rows, as `map_batches` calls it.

    shared: has the content of the model, so that machines need no folder in common. name: of its file. identity: what
    the content must be. options: for the classifier.
    """

    def __init__(
        self, shared: ActorHandle, name: str, identity: str, options: Mapping[str, Any], sources: Sequence[Source]
    ):
        with TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(ray.get(shared.model.remote()))
            # It gives the known answers on this machine, or there are no rows from here.
            self._classifier = Classifier(path, device="cpu", workers=1, threads=1, **options)
        if self._classifier.model_identity != identity:
            raise AllkitError(f"{name} was changed while the job began: start it again")
        self._sources, self._shared = sources, shared

    def __call__(self, block: pa.Table) -> pa.Table:
        """The rows of a block."""
        names = block[KEY].to_pylist()
        predictions = self._classifier(self._images(block))
        rows = parquet_table(
            zip(names, predictions, strict=True), self._classifier.contract.classes, optional_columns(self._classifier)
        )
        self._shared.add.remote(len(names))
        return rows

    def _images(self, block: pa.Table) -> Iterable[bytes | AllkitError]:
        if "location" not in block.column_names:
            return map(image_of, *(block[name].to_pylist() for name in ("bytes", "error")))
        numbers, locations = (block[name].to_pylist() for name in ("source", "location"))
        places = [place_at(self._sources[number], at) for number, at in zip(numbers, locations, strict=True)]
        # A disk answers at once, a store after a while.
        return map(_fetched, places) if places[0].local else ahead(_fetched, places)


@ray.remote(num_cpus=0)
class Shared:
    """What the workers of a job have in common: the content of the model, and the count of images that are done."""

    def __init__(self, model: bytes):
        self._model = model
        self._done = 0

    def model(self) -> bytes:
        """The content of the file."""
        return self._model

    def add(self, count: int) -> None:
        """So many more are done; what a lost worker repeats counts twice."""
        self._done += count

    def done(self) -> int:
        """How many are done."""
        return self._done


def _fetched(place: Place) -> bytes | AllkitError:
    try:
        return place.read()
    except AllkitError as error:
        return error

"""The Parquet files that a job on a cluster writes, and what lies beside them so that a stopped one can be resumed.

Ray writes each file in two phases: what is in it to a pending checkpoint, the file, then the checkpoint takes its name.
Whoever resumes removes the files of pending checkpoints and leaves out what is in the others.
"""

from __future__ import annotations

import json

import pyarrow as pa
from pyarrow import compute, dataset, parquet
from pyarrow.fs import FileSelector, FileType

from allkit.archive.storage import Place
from allkit.classification.job import Tally
from allkit.errors import AllkitError, reason

# The column that tells images apart, for Ray, too.
KEY = "path"
_JOB = "job.json"
_PENDING = ".pending.parquet"


class Output:
    """A folder of Parquet files, and its journal, a hidden folder beside it.

    made_with: a text that tells apart what decides the rows, such as models and ways to read images. Raises AllkitError
    when the folder has files already and is not to be resumed, when its rows were made with something else, or when it
    cannot be written.
    """

    def __init__(self, place: Place, made_with: str, resume: bool):
        folder, _, name = place.path.rpartition("/")
        if not (folder and name):
            raise AllkitError(f"{place.name} is no folder that allkit can write beside: give one below it")
        self.place = place
        self._journal = f"{folder}/.{name}.journal"
        self.checkpoint = f"{self._journal}/checkpoint"
        self._made_with = made_with
        try:
            self._begin(resume)
        except OSError as error:
            raise AllkitError(f"cannot use {place.name}: {reason(error)}") from error

    def forget_failed(self) -> int:
        """Remove the rows of images that could not be read, or not whole, so that they are tried again; their number.

        First from the checkpoint: stopped in between, the rows are still there to be removed the next time.
        """
        self._forget_unfinished()
        files = self._files(self.place.path)
        if not files:
            return 0
        rows = dataset.dataset(files, filesystem=self.place.filesystem)
        failed = dataset.field("error").is_valid()
        if "warning" in rows.schema.names:
            failed |= dataset.field("warning").is_valid()
        keys = rows.to_table(columns=[KEY], filter=failed)[KEY]
        for path in [*self._files(self.checkpoint), *files] if len(keys) else ():
            self._remove(path, keys)
        return len(keys)

    def count(self) -> int:
        """The number of rows of all files."""
        files = self._files(self.place.path)
        return dataset.dataset(files, filesystem=self.place.filesystem).count_rows() if files else 0

    def tally(self) -> Tally:
        """How many rows of all files have what."""
        tally = Tally()
        files = self._files(self.place.path)
        for batch in dataset.dataset(files, filesystem=self.place.filesystem).to_batches() if files else ():
            for count in compute.value_counts(batch["label"]).to_pylist():
                tally.labels[count["values"]] += count["counts"]
            there = {name: batch.num_rows - batch[name].null_count for name in batch.schema.names}
            tally.uncertain += compute.sum(batch["uncertain"]).as_py() or 0
            tally.unfamiliar += compute.sum(batch["unfamiliar"]).as_py() or 0
            tally.trained_on += there.get("trained_on", 0)
            tally.damaged += there.get("warning", 0)
        return tally

    def _begin(self, resume: bool) -> None:
        store = self.place.filesystem
        job = f"{self._journal}/{_JOB}"
        begun = store.get_file_info(job).type == FileType.File
        if not begun and self._files(self.place.path):
            raise AllkitError(f"{self.place.name} has Parquet files of something else: give another --output")
        if begun and not resume:
            raise AllkitError(
                f"{self.place.name} holds the rows of an earlier run: add what is missing with --resume, give another "
                "--output, or delete it"
            )
        text = json.dumps({"made_with": self._made_with})
        if begun:
            with store.open_input_stream(job) as stream:
                if stream.read().decode(errors="replace") != text:
                    raise AllkitError(
                        f"the rows in {self.place.name} were made with another model or other options: give the same "
                        "ones, or another --output"
                    )
            return
        store.create_dir(self.checkpoint)
        store.create_dir(self.place.path)
        with store.open_output_stream(job) as stream:
            stream.write(text.encode())

    def _files(self, folder: str) -> list[str]:
        """The Parquet files of a folder that are whole."""
        names = [path for path in self._all(folder) if path.endswith(".parquet") and not path.endswith(_PENDING)]
        return [path for path in names if not path.rpartition("/")[2].startswith(".")]

    def _all(self, folder: str) -> list[str]:
        found = self.place.filesystem.get_file_info(FileSelector(folder, allow_not_found=True))
        return [info.path for info in found if info.type == FileType.File]

    def _forget_unfinished(self) -> None:
        """Remove files that were being written, as Ray does, but before they are read."""
        for pending in [path for path in self._all(self.checkpoint) if path.endswith(_PENDING)]:
            begun = pending.rpartition("/")[2].removesuffix(_PENDING)
            for path in self._all(self.place.path):
                if path.rpartition("/")[2].startswith(begun):
                    self.place.filesystem.delete_file(path)
            self.place.filesystem.delete_file(pending)

    def _remove(self, path: str, keys: pa.ChunkedArray) -> None:
        store = self.place.filesystem
        table = parquet.read_table(path, filesystem=store)
        kept = table.filter(compute.invert(compute.is_in(table[KEY], keys)))
        if not len(kept):
            store.delete_file(path)
        elif len(kept) < len(table):
            folder, _, name = path.rpartition("/")
            parquet.write_table(kept, f"{folder}/.{name}", filesystem=store)
            store.move(f"{folder}/.{name}", path)

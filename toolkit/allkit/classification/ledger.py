"""A CSV file of rows that only grows, while images keep coming.

A row is on disk before the next begins. Whoever opens the file again, after whatever ended the process, cuts off what
was begun of a row and knows which images are there.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from allkit.classification.rows import ENCODING, columns, csv_fields
from allkit.errors import AllkitError, reason
from allkit.runtime.classifier import Prediction
from allkit.support.csvtext import write_rows
from allkit.support.files import make_folder, open_claimed


class Ledger:
    """The rows of an output file, to be used in a `with` statement; no other process adds any meanwhile.

    classes, optional: as for `write_csv`. done: the paths that have a row, as they are written there. Raises
    AllkitError when the file cannot be written, another process has it, or it has other columns.
    """

    def __init__(self, output: Path, classes: Sequence[str], optional: Sequence[str] = ()):
        self.output = output
        self._classes, self._optional = classes, optional
        foreign = f"{output} is a link or no regular file: give another --output"
        try:
            make_folder(output.parent)
            with ExitStack() as stack:
                self._stream = stack.enter_context(open_claimed(output, foreign))
                self.done = self._begin()
                stack.pop_all()
        except BlockingIOError as error:
            raise AllkitError(f"another process is writing {output}: end it, or give another --output") from error
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_) -> None:
        self._stream.close()

    def add(self, path: Path, prediction: Prediction) -> None:
        """Append the row of an image and wait until it is on disk."""
        self._append(_line(csv_fields(path, prediction, self._classes, self._optional)))
        self.done.add(str(path))

    def _begin(self) -> set[str]:
        header = _line(columns(self._classes, self._optional))
        data = self._stream.read()
        # Before anything is cut off: a file of something else must stay as it is.
        if not data.startswith(header) and not header.startswith(data):
            raise AllkitError(
                f"{self.output} has other columns than the rows of this model: give another --output, or the same "
                "model and options"
            )
        rows, length = _whole_rows(data)
        self._stream.truncate(length)
        self._stream.seek(length)
        if not rows:
            self._append(header)
        return {row[0] for row in rows[1:]}

    def _append(self, line: bytes) -> None:
        try:
            while line:
                line = line[self._stream.write(line) :]
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> AllkitError:
        return AllkitError(f"cannot write {self.output}: {reason(error)}; fix that, then give the same command again")


def _line(fields: Sequence) -> bytes:
    text = io.StringIO()
    write_rows(text, [fields])
    return text.getvalue().encode(**ENCODING)


def _whole_rows(data: bytes) -> tuple[list[list[str]], int]:
    """The rows that are complete, the header included, and how many bytes they take.

    What was begun of the last row ends in no line end, or in one of a name; then it has too few fields.
    """
    length = data.rfind(b"\n") + 1
    while length:
        try:
            rows = list(csv.reader(io.StringIO(data[:length].decode(**ENCODING), newline=""), strict=True))
        except csv.Error:
            rows = []
        if rows and len(rows[-1]) == len(rows[0]):
            return rows, length
        length = data.rfind(b"\n", 0, length - 1) + 1
    return [], 0

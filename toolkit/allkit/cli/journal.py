"""What a classification into a file has done so far, so that one that was stopped can go on.

A hidden file beside the output takes one line of JSON an image as soon as it is classified: the path, the size and
time of the file, and the prediction. Whatever ends the process, at most its last line is cut short.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from allkit.errors import AllkitError
from allkit.files import check_replaceable
from allkit.runtime.classifier import Prediction


class Journal:
    """The journal of an output file.

    model: a text that tells models, and ways to read images, apart. resume: go on with a journal that is there, else
    begin a new one. Raises AllkitError when it cannot be written, or was made with another model.
    """

    def __init__(self, output: Path, model: str, resume: bool):
        check_replaceable(output)
        self.path = output.with_name(f".{output.name}.journal")
        self._model = model
        self._at: dict[str, int] = {}
        self._files: dict[str, list[int] | None] = {}
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("r+b" if resume and self.path.exists() else "w+b")
            if resume:
                self._read()
            if not self._stream.tell():
                self._write({"model": model})
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def left(self, paths: Iterable[Path]) -> list[Path]:
        """The images that were not classified yet, or whose files have changed since; to be asked before they are read.

        A file that changes while it is read, or after, has not the facts that are noted here.
        """
        left = []
        for path in paths:
            facts = _facts(path)
            if str(path) not in self._at or self._files.get(str(path)) != facts:
                self._files[str(path)] = facts
                self._at.pop(str(path), None)
                left.append(path)
        return left

    def add(self, path: Path, prediction: Prediction) -> None:
        """Note the prediction of an image."""
        record = {**vars(prediction), "heatmap": None}
        try:
            self._at[str(path)] = self._write({"path": str(path), "file": self._files[str(path)], "prediction": record})
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def rows(self, paths: Iterable[Path]) -> Iterator[tuple[Path, Prediction]]:
        """The images noted so far and their predictions, in the order of `paths`."""
        for path in paths:
            if (at := self._at.get(str(path))) is not None:
                self._stream.seek(at)
                yield path, _prediction(json.loads(self._stream.readline()))
        self._stream.seek(0, os.SEEK_END)

    def close(self, remove: bool) -> None:
        """Close the file; it stays where the work is to be gone on with."""
        self._stream.close()
        if remove:
            self.path.unlink(missing_ok=True)

    def _write(self, record: dict) -> int:
        at = self._stream.tell()
        self._stream.write(json.dumps(record).encode() + b"\n")
        self._stream.flush()
        return at

    def _read(self) -> None:
        end = 0
        for line in self._stream:
            try:
                record = json.loads(line)
                if not end and record["model"] != self._model:
                    raise AllkitError(
                        f"{self.path} was made with another model or --bits: leave out --resume, or give the same"
                    )
                if end:
                    prediction = _prediction(record)
                    # What could not be read, or not whole, is tried again.
                    whole = prediction.error is None and prediction.warning is None
                    self._files[record["path"]] = record["file"] if whole else None
                    self._at[record["path"]] = end
            except (ValueError, TypeError, KeyError):
                # Cut short, or of another version: from here on all is done again.
                break
            if not line.endswith(b"\n"):
                break
            end += len(line)
        self._stream.seek(end)
        self._stream.truncate()


def _prediction(record: dict) -> Prediction:
    values = record["prediction"]
    return Prediction(**{**values, "prediction_set": tuple(values["prediction_set"])})


def _facts(path: Path) -> list[int] | None:
    """Size in bytes and time of the last change in nanoseconds; None where there is no file."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return [facts.st_size, facts.st_mtime_ns]


def _unwritable(path: Path, error: OSError) -> AllkitError:
    return AllkitError(
        f"cannot write {path}: {error.strerror or error}; with that mended, the same command with --resume goes on"
    )

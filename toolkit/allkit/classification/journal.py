"""What a classification into a file has done so far, so that one that was stopped can be resumed.

A hidden file beside the output takes one line per image as soon as it is classified: a checksum and a JSON object with
the path, the size and time of the file, and the prediction. Lines are only ever added. Each stands for itself: one that
was truncated, or changed since, does not fit its checksum, and its image is classified again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from allkit.archive.shards import Packed
from allkit.errors import AllkitError, reason
from allkit.runtime.classifier import Prediction
from allkit.support.files import make_folder, open_claimed
from allkit.support.locks import is_named
from allkit.support.reading import parse_json

# Far more than a line has: a journal without line ends must not be read in one piece.
_MOST_BYTES = 2**24

# File names need not be valid UTF-8, and errors name them.
_ENCODING = ("utf-8", "surrogatepass")


@dataclass(frozen=True)
class _Heatmap:
    shape: tuple[int, int]
    values: bytes


@dataclass(frozen=True)
class _Row:
    """A line. made_with: what tells whether it belongs to this job. file: size in bytes and time of the last change in
    nanoseconds, None where there was no file. Either error or prediction is there; the map is apart from it."""

    made_with: str
    path: bytes
    file: tuple[int, int] | None
    error: bytes | None
    prediction: Prediction | None
    heatmap: _Heatmap | None

    def result(self) -> Prediction:
        if self.prediction is None:
            return Prediction(error=(self.error or b"").decode(*_ENCODING))
        if self.heatmap is None:
            return self.prediction
        values = np.frombuffer(self.heatmap.values, "<f4").reshape(self.heatmap.shape)
        return replace(self.prediction, heatmap=values)


class Journal:
    """The journal of an output file, to be used in a `with` statement; no other process has it meanwhile.

    made_with: a text that tells apart what decides the rows, such as models and ways to read images. resume: go on
    with a journal that is there. heatmaps: whether predictions have maps; without its map an image is classified again.
    Raises AllkitError when the journal cannot be written, another process has it, it was made with something else, or
    it is there and is not to be resumed.

    At the end of the `with` statement the journal is removed where `finished` was set, or where nothing is in it.
    """

    def __init__(self, output: Path, made_with: str, resume: bool, heatmaps: bool = False):
        self.path = output.with_name(f".{output.name}.journal")
        self.finished = False
        self._made_with = hashlib.blake2b(made_with.encode(*_ENCODING), digest_size=8).hexdigest()
        # Where the line of each image begins, and its length.
        self._at: dict[str, tuple[int, int]] = {}
        self._files: dict[str, tuple[int, int] | None] = {}
        foreign = f"{self.path} is a link or no regular file, and no journal of allkit: remove it"
        try:
            make_folder(output.parent)
            with contextlib.ExitStack() as stack:
                self._stream = stack.enter_context(open_claimed(self.path, foreign, alone=True))
                self._begin(resume, heatmaps)
                stack.pop_all()
        except BlockingIOError as error:
            raise AllkitError(f"another process is writing {output}: wait for it, or give another --output") from error
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_) -> None:
        # Where its folder was removed meanwhile, another process may have made one of its own.
        remove = (self.finished or not self._end) and is_named(self._stream.fileno(), self.path)
        # While the lock is held: the next process may make it anew at once. Windows removes no file that is open.
        if remove and os.name != "nt":
            self.path.unlink(missing_ok=True)
        self._stream.close()
        if remove and os.name == "nt":
            self.path.unlink(missing_ok=True)

    def left(self, paths: Iterable[Path | Packed]) -> list[Path | Packed]:
        """The images that were not classified yet, or whose files have changed since; to be asked before they are read.

        A file that changes while it is read, or after, has not the facts that are noted here.
        """
        left = []
        for path in paths:
            key, facts = _key(path), _facts(path)
            if key not in self._at or self._files[key] != facts:
                self._files[key] = facts
                self._at.pop(key, None)
                left.append(path)
        return left

    def add(self, path: Path | Packed, prediction: Prediction) -> None:
        """Note the prediction of an image."""
        key, heatmap = _key(path), prediction.heatmap
        failed = prediction.error is not None
        row = _Row(
            self._made_with,
            key.encode(*_ENCODING),
            self._files[key],
            prediction.error.encode(*_ENCODING) if failed else None,
            None if failed else replace(prediction, heatmap=None),
            None if heatmap is None else _Heatmap(heatmap.shape, heatmap.astype("<f4").tobytes()),
        )
        text = msgspec.json.encode(row)
        line = _checksum(text) + b" " + text + b"\n"
        self._write(line)
        self._at[key] = self._end - len(line), len(line)

    def rows(self, paths: Iterable[Path | Packed]) -> Iterator[tuple[Path | Packed, Prediction]]:
        """The images noted so far and their predictions, in the order of `paths`."""
        for path in paths:
            key = _key(path)
            if key not in self._at:
                continue
            at, length = self._at[key]
            self._stream.seek(at)
            row = _row(self._stream.read(length))
            if row is None or row.path != key.encode(*_ENCODING):
                raise AllkitError(
                    f"{self.path} has been changed in the meantime: the same command with --resume repairs it"
                )
            yield path, row.result()

    def _begin(self, resume: bool, heatmaps: bool) -> None:
        self._end = os.fstat(self._stream.fileno()).st_size
        if self._end and not resume:
            raise AllkitError(
                f"{self.path} holds the work of an earlier run: continue with --resume, or delete it to start again"
            )
        at, line = 0, b"\n"
        lines = io.BufferedReader(self._stream)
        while found := lines.readline(_MOST_BYTES):
            at, line = at + len(found), found
            row = _row(line)
            if row is None:
                continue
            if row.made_with != self._made_with:
                raise AllkitError(
                    f"{self.path} was made with another model, other options or on another device: give the same "
                    "ones, or delete it to start again"
                )
            # What could not be read, or not whole, is tried again.
            whole = row.prediction is not None and row.prediction.warning is None
            if whole and (row.heatmap is not None or not heatmaps):
                key = row.path.decode(*_ENCODING)
                self._at[key], self._files[key] = (at - len(line), len(line)), row.file
        lines.detach()
        if not line.endswith(b"\n"):
            self._write(b"\n")

    def _write(self, line: bytes) -> None:
        left = line
        try:
            self._stream.seek(self._end)
            while left:
                left = left[self._stream.write(left) :]
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._end += len(line)


def _row(line: bytes) -> _Row | None:
    """What a line says, None where it is damaged or of another version of allkit."""
    checksum, _, text = line.removesuffix(b"\n").partition(b" ")
    if checksum != _checksum(text):
        return None
    try:
        row = parse_json(text, _Row, "a line of the journal", "classify the image again")
    except AllkitError:
        return None
    return row if (row.prediction is None) != (row.error is None) else None


def _checksum(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=8).hexdigest().encode()


def _key(image: Path | Packed) -> str:
    # From wherever the job is resumed; `..` stays, since it may lead out of a link.
    if isinstance(image, Packed):
        return f"{image.shard.absolute()}, row {image.row}: {image.name}"
    return str(image.absolute())


def _facts(image: Path | Packed) -> tuple[int, int] | None:
    """Size in bytes and time of the last change in nanoseconds; None where there is no file."""
    try:
        facts = (image.shard if isinstance(image, Packed) else image).stat()
    except (OSError, ValueError):
        return None
    return facts.st_size, facts.st_mtime_ns


def _unwritable(path: Path, error: OSError) -> AllkitError:
    return AllkitError(f"cannot write {path}: {reason(error)}; fix that, then repeat the command with --resume")

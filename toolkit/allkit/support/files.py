"""Writing files atomically: a file is either complete or absent.

An unfinished file has a hidden name that only allkit uses, and a lock while its process lives. Files left by a killed
process are removed by the next one that writes to the same folder.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from allkit.errors import AllkitError, reason
from allkit.support.locks import claim
from allkit.support.reading import read_json

_TEMPORARY = re.compile(r"\.allkit-[0-9a-f]{16}(\..*)?", re.DOTALL)

# Models and `pixel_path.SUFFIXES`, which are not imported here because they load NumPy and OpenCV.
_NOT_TEXT = frozenset({".bmp", ".jpeg", ".jpg", ".keras", ".onnx", ".png", ".tif", ".tiff", ".webp"})

# In a folder that others can write to, a predictable name may be a link placed there by someone else.
_OPEN_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def replacing(path: Path | str, tidy: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes `path`, on failure it is removed.

    The temporary file exists, is empty, and keeps the suffix for writers that choose a format by it. Parent folders are
    created. tidy: remove what killed processes left in the folder; once is enough for thousands of files. Raises
    AllkitError when the folder cannot be written, and like `check_replaceable`.
    """
    path = Path(path)
    check_replaceable(path)
    try:
        make_folder(path.parent)
        if tidy:
            remove_abandoned(path.parent)
        temporary, descriptor = _create_temporary(path.parent, path.suffix[-20:])
        try:
            yield temporary
            with temporary.open("r+b") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
            if descriptor is not None:
                os.close(descriptor)
    except OSError as error:
        raise AllkitError(f"cannot write {path}: {reason(error)}") from error


def check_replaceable(path: Path, sources: Iterable[Path] = ()) -> None:
    """Raise AllkitError if `replacing` would fail; call it before long work whose result is written there.

    Links and other files that are not regular are refused. sources: inputs of the work, none of which may be replaced,
    however its path is spelled.
    """
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        there = None
    except (OSError, ValueError) as error:
        raise AllkitError(f"cannot write {path}: {reason(error)}") from error
    if there and stat.S_ISLNK(there.st_mode):
        raise AllkitError(f"cannot write {path}: it is a link; name its target, or remove it")
    if there and not stat.S_ISREG(there.st_mode):
        raise AllkitError(f"cannot write {path}: it exists and is not a regular file")
    for source in sources if there else ():
        with suppress(OSError, ValueError):
            if os.path.samestat(there, os.stat(source)):
                raise AllkitError(f"cannot write {path}: it is {source}, which is an input; give another name")
    check_folder(path.parent, path.name)


def check_text_file(path: Path, sources: Iterable[Path] = ()) -> None:
    """`check_replaceable` for a text file, which must not be named like a model or an image either."""
    check_replaceable(path, sources)
    suffix = path.suffix.lower()
    if suffix in _NOT_TEXT:
        raise AllkitError(f"cannot write {path}: files named {suffix} are models or images; give another name")


def check_folder(folder: Path, name: str = "") -> None:
    """Raise AllkitError unless a file, with this name if given, can be created in a folder, itself possibly missing."""
    try:
        with suppress(FileNotFoundError):
            os.stat(folder)
        whole = folder.absolute()
        found = next(place for place in (whole, *whole.parents) if os.path.lexists(place))
        for part in (*whole.relative_to(found).parts, name):
            # The system does not check names below a missing folder.
            with suppress(FileNotFoundError):
                os.stat(found / part)
        if not stat.S_ISDIR(os.stat(found).st_mode):
            raise AllkitError(f"cannot write to {folder}: {found} is not a folder")
    except (OSError, ValueError) as error:
        raise AllkitError(f"cannot write to {folder}: {reason(error)}") from error
    if not os.access(found, os.W_OK | os.X_OK):
        raise AllkitError(f"cannot write to {folder}: {found} is not writable")


def open_claimed(path: Path, foreign: str, alone: bool = False) -> io.FileIO:
    """Open a file for reading and appending, made where there is none, with its lock until it is closed.

    foreign: the message of the AllkitError for a link, or what is no regular file. alone: refuse a file with further
    names, too. Raises BlockingIOError where another process holds the lock.
    """
    while True:
        with ExitStack() as stack:
            try:
                # Without a buffer: what a full disk did not take must not be tried again when the file is closed.
                stream = os.fdopen(os.open(path, _OPEN_FLAGS | os.O_CREAT, 0o666), "r+b", buffering=0)
            except OSError as error:
                raise AllkitError(foreign) if error.errno == errno.ELOOP else error from error
            stack.enter_context(stream)
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode) or (alone and facts.st_nlink > 1):
                raise AllkitError(foreign)
            if claim(stream.fileno(), path):
                stack.pop_all()
                return stream


def listing(folder: Path) -> list[Path]:
    """The entries of a folder whose names do not begin with a dot, sorted; empty if the folder does not exist.

    Raises AllkitError for a folder that cannot be read.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise AllkitError(f"cannot read {folder}: {reason(error)}") from error
    return sorted(folder / name for name in names if not name.startswith("."))


def remove_abandoned(folder: Path) -> None:
    """Remove temporary files of processes that have ended from a folder."""
    if sys.platform == "win32":
        return
    try:
        names = os.listdir(folder)
    except PermissionError:
        # A folder may be writable but not readable.
        return
    for path in (folder / name for name in names if _TEMPORARY.fullmatch(name)):
        # A held lock, or another user's file: not ours to remove.
        with suppress(OSError):
            descriptor = os.open(path, _OPEN_FLAGS)
            try:
                if claim(descriptor, path):
                    path.unlink()
            finally:
                os.close(descriptor)


def _create_temporary(folder: Path, suffix: str) -> tuple[Path, int | None]:
    """Create an empty file; return it with the descriptor that holds its lock."""
    while True:
        temporary = folder / f".allkit-{secrets.token_hex(8)}{suffix}"
        descriptor = os.open(temporary, _OPEN_FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        if sys.platform == "win32":
            # Windows cannot rename an open file, so nothing is locked or removed there.
            os.close(descriptor)
            return temporary, None
        try:
            whole = claim(descriptor, temporary)
        except BlockingIOError:
            # Another process took it for abandoned before it was locked.
            whole = False
        except OSError:
            # Without locks, no process can claim and remove it.
            whole = True
        if whole:
            return temporary, descriptor
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, at any depth."""
    # `mkdir(parents=True)` recurses once per level.
    for place in [*reversed(folder.parents), folder] if not folder.is_dir() else ():
        place.mkdir(exist_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the new one, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def as_json(record: Mapping[str, Any], compact: bool = False) -> str:
    """A record as JSON, indented or without white space."""
    return json.dumps(record, separators=(",", ":")) if compact else json.dumps(record, indent=1)


def write_json(path: Path | str, record: Mapping[str, Any], compact: bool = False) -> None:
    """Write a record as JSON, whole or not at all."""
    write_text(path, as_json(record, compact) + "\n")


def content_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cache_folder() -> Path | None:
    """The user's cache folder: allkit in $XDG_CACHE_HOME, %LOCALAPPDATA% or ~/.cache.

    None if none of them is set and the user has no home. The folder may be missing or not writable.
    """
    folder = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    try:
        return (Path(folder) if folder else Path.home() / ".cache") / "allkit"
    except RuntimeError:
        return None


def writable_cache(*names: str) -> Path | None:
    """A writable folder in the cache, created if missing; None if that fails."""
    cache = cache_folder()
    if cache is None:
        return None
    folder = cache.joinpath(*names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError):
        return None
    return folder if os.access(folder, os.R_OK | os.W_OK | os.X_OK) else None


def read_cache(name: str) -> dict[str, Any]:
    """The JSON object in a file of the cache, such as plans.json; empty if there is none that can be read."""
    cache = cache_folder()
    if cache is None:
        return {}
    try:
        return read_json(cache / name, dict[str, Any], "it is made again")
    except AllkitError:
        return {}


def write_cache(name: str, record: dict[str, Any]) -> bool:
    """Write a JSON object to a file of the cache; return whether that succeeded."""
    cache = cache_folder()
    if cache is None:
        return False
    try:
        write_json(cache / name, record)
    except AllkitError:
        return False
    return True

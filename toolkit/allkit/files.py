"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from allkit.errors import AllkitError


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes `path`, on failure it is removed.

    The temporary name keeps the suffix, for writers that choose a format by it. Parent folders are made.
    Raises AllkitError when the folder cannot be written.
    """
    path = Path(path)
    check_replaceable(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("r+b") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise AllkitError(f"cannot write {path}: {error.strerror or error}") from error


def check_replaceable(path: Path) -> None:
    """AllkitError where `replacing` would refuse the name: before long work whose result is to be written there."""
    if path.exists() and not path.is_file():
        raise AllkitError(f"cannot write {path}: it is there already and is not a regular file")


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the new one, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def content_hash(path: Path) -> str:
    """SHA-256 of the content of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cache_folder() -> Path:
    """Where what can be made again is kept for a user: allkit in $XDG_CACHE_HOME, %LOCALAPPDATA% or ~/.cache."""
    folder = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(folder) if folder else Path.home() / ".cache") / "allkit"

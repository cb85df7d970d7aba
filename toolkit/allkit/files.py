"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from allkit.errors import AllkitError
from allkit.reading import read_json


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes `path`, on failure it is removed.

    The temporary name keeps the suffix, for writers that choose a format by it. Parent folders are made.
    Raises AllkitError when the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        check_replaceable(path)
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


def cache_folder() -> Path | None:
    """Where what can be made again is kept for a user: allkit in $XDG_CACHE_HOME, %LOCALAPPDATA% or ~/.cache.

    None where none is named and the user has no home. Whether the folder can be made, read or written is not said.
    """
    folder = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    try:
        return (Path(folder) if folder else Path.home() / ".cache") / "allkit"
    except RuntimeError:
        return None


def writable_cache(*names: str) -> Path | None:
    """A folder in the cache that is there and can be written, made where it is missing; None where that fails."""
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
    """The JSON object in a file of the cache, such as plans.json; empty where there is none that can be read."""
    cache = cache_folder()
    if cache is None:
        return {}
    try:
        return read_json(cache / name, dict[str, Any], "it is made again")
    except AllkitError:
        return {}


def write_cache(name: str, record: dict[str, Any]) -> bool:
    """Keep a JSON object in a file of the cache, whole or not at all; whether it was kept.

    A cache is only memory: where it cannot be written, nothing happens.
    """
    cache = cache_folder()
    if cache is None:
        return False
    try:
        write_text(cache / name, json.dumps(record, indent=1) + "\n")
    except AllkitError:
        return False
    return True

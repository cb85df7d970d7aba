"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    check_replaceable(path)
    # A name may have as many bytes as a file system allows, and the temporary one is longer.
    temporary = path.with_name(f".{path.stem[:40]}.{os.getpid()}{path.suffix[-20:]}")
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
        raise AllkitError(f"cannot write {path}: {reason(error)}") from error


def check_replaceable(path: Path) -> None:
    """AllkitError where `replacing` would fail: before long work whose result is to be written there."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise AllkitError(f"cannot write {path}: it is there already and is not a regular file")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise AllkitError(f"cannot write {path}: {reason(error)}") from error
    check_folder(path.parent, path.name)


def check_folder(folder: Path, name: str = "") -> None:
    """AllkitError unless a file, maybe of a certain name, can be made in a folder, or in one that is made first."""
    try:
        with suppress(FileNotFoundError):
            os.stat(folder)
        whole = folder.absolute()
        found = next(place for place in (whole, *whole.parents) if os.path.lexists(place))
        for part in (*whole.relative_to(found).parts, name):
            # Below a folder that is missing the system does not look at names.
            with suppress(FileNotFoundError):
                os.stat(found / part)
        if not stat.S_ISDIR(os.stat(found).st_mode):
            raise AllkitError(f"cannot write to {folder}: {found} is not a folder")
    except (OSError, ValueError) as error:
        raise AllkitError(f"cannot write to {folder}: {reason(error)}") from error
    if not os.access(found, os.W_OK | os.X_OK):
        raise AllkitError(f"cannot write to {folder}: {found} may not be written")


def listing(folder: Path) -> list[Path]:
    """The entries of a folder whose names do not begin with a dot, sorted; none where there is no such folder.

    Raises AllkitError for a folder that cannot be read, which is not to be taken for an empty one.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise AllkitError(f"cannot read {folder}: {reason(error)}") from error
    return sorted(folder / name for name in names if not name.startswith("."))


def reason(error: OSError | ValueError) -> str:
    """What the system says of a failure, without the number and the path; a ValueError is of a name it cannot have."""
    return getattr(error, "strerror", None) or str(error)


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

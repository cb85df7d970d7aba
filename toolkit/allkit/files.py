"""Files that are either whole or not there.

What is being written has a hidden name that allkit alone uses, and a lock while its process lives. What a process that
was killed has left is removed by the next one that writes into the same folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from allkit.errors import AllkitError
from allkit.locks import claim

_TEMPORARY = re.compile(r"\.allkit-[0-9a-f]{16}(\..*)?", re.DOTALL)

# Names that others can foresee, in a folder that others may write to, may be links that they have put there.
OPEN_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def replacing(path: Path | str, tidy: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it becomes `path`, on failure it is removed.

    The temporary name keeps the suffix, for writers that choose a format by it, and is an empty file to begin with.
    Parent folders are made. tidy: look through the folder for what killed processes left; once is enough for a folder
    of thousands. Raises AllkitError when the folder cannot be written, or as `check_replaceable` does.
    """
    path = Path(path)
    check_replaceable(path)
    try:
        make_folder(path.parent)
        if tidy:
            remove_abandoned(path.parent)
        temporary, descriptor = _create_temporary(path.parent, path.suffix)
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
        raise AllkitError(f"cannot write {path}: {error.strerror or error}") from error


def check_replaceable(path: Path, sources: Iterable[Path] = ()) -> None:
    """AllkitError where `replacing` would refuse the name: before long work whose result is to be written there.

    A link is refused, not followed, and so is whatever else is not a regular file. sources: what the work reads; none
    of them may be replaced, whatever the spelling.
    """
    try:
        there = os.lstat(path)
    except (OSError, ValueError):
        return
    if stat.S_ISLNK(there.st_mode):
        raise AllkitError(f"cannot write {path}: it is a link; name the file that it leads to, or remove it")
    if not stat.S_ISREG(there.st_mode):
        raise AllkitError(f"cannot write {path}: it is there already and is not a regular file")
    for source in sources:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(there, os.stat(source)):
                raise AllkitError(f"cannot write {path}: it is {source}, which is to be read; give another name")


def remove_abandoned(folder: Path) -> None:
    """Remove the temporaries of processes that are gone from a folder."""
    if sys.platform == "win32":
        return
    try:
        names = os.listdir(folder)
    except PermissionError:
        # One may be allowed to write into a folder and not to list it.
        return
    for path in (folder / name for name in names if _TEMPORARY.fullmatch(name)):
        # A lock that is held, or a file of another user: not ours to remove.
        with contextlib.suppress(OSError):
            descriptor = os.open(path, OPEN_FLAGS)
            try:
                if claim(descriptor, path):
                    path.unlink()
            finally:
                os.close(descriptor)


def _create_temporary(folder: Path, suffix: str) -> tuple[Path, int | None]:
    """A new empty file, and the descriptor that holds its lock."""
    while True:
        temporary = folder / f".allkit-{secrets.token_hex(8)}{suffix}"
        descriptor = os.open(temporary, OPEN_FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        if sys.platform == "win32":
            # It renames no file that is open: there nothing is locked, and nothing removed.
            os.close(descriptor)
            return temporary, None
        try:
            whole = claim(descriptor, temporary)
        except BlockingIOError:
            # Another process took it for abandoned before it was locked.
            whole = False
        except OSError:
            # Where there are no locks, nobody can claim it and remove it.
            whole = True
        if whole:
            return temporary, descriptor
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, at any depth."""
    # `mkdir(parents=True)` calls itself once a level.
    for place in [*reversed(folder.parents), folder] if not folder.is_dir() else ():
        place.mkdir(exist_ok=True)


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

"""Locks on open files: they end with the process that holds them, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# A lock of Windows keeps others from reading what it covers: a byte where nothing is.
_BEYOND_ALL_FILES = 2**40


def claim(descriptor: int, path: Path) -> bool:
    """Lock an open file until it is closed; False where `path` names another file by now, or none.

    Raises BlockingIOError where another process holds the lock, any other OSError where the file system has no locks.
    """
    if sys.platform == "win32":
        _lock_byte(descriptor)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # Whoever held the lock before may have removed the file, and a third process made it anew.
    return is_named(descriptor, path)


def is_named(descriptor: int, path: Path) -> bool:
    """Whether `path` still names an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _lock_byte(descriptor: int) -> None:
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _BEYOND_ALL_FILES, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(error.errno, error.strerror) from error
    finally:
        os.lseek(descriptor, place, os.SEEK_SET)

"""Locks on open files, released when the process that holds them ends, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# A Windows lock prevents others from reading the bytes it covers, so it covers one beyond the content.
_BEYOND_ALL_FILES = 2**40


def claim(descriptor: int, path: Path) -> bool:
    """Lock an open file until it is closed; return False if `path` no longer names this file.

    Raises BlockingIOError if another process holds the lock, and another OSError if the file system has no locks.
    """
    if sys.platform == "win32":
        _lock_byte(descriptor)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # The previous holder may have removed the file, and a third process created it again.
    return is_named(descriptor, path)


def is_named(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the open file."""
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

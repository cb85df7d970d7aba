"""The images that come into a folder, each once it is whole.

The system tells what changes (watchfiles); on a network share it does not tell what others do there, so the folder is
listed from time to time as well.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import watchfiles

from allkit.imaging.pixel_path import natural_key
from allkit.runtime.inputs import images_below, is_image_below

# How often `arrivals` yields, changes or not.
_TICK_S = 1.0

# The folder is listed at most this often, and listing takes at most this share of the time.
_LEAST_RELIST_S, _RELIST_SHARE = 10.0, 0.05


@dataclass
class Settling:
    """Files that may still be written. A file is whole when its size and its times have rested for `rest_s` seconds.

    A file that is renamed into place has rested since then. seen: those that are not to be looked at (any more).
    """

    rest_s: float
    seen: set[Path]
    _waiting: dict[Path, tuple[tuple[int, int, int], float]] = field(default_factory=dict)

    def add(self, paths: Collection[Path]) -> None:
        """Look at these files from now on."""
        for path in paths:
            if path not in self.seen:
                self._waiting.setdefault(path, ((-1, -1, -1), 0.0))

    def whole(self, now: float) -> list[Path]:
        """The files that are whole, in natural order; each is returned once. now: seconds of a clock."""
        found = []
        for path, (facts, since) in list(self._waiting.items()):
            try:
                told = path.stat()
            except OSError:
                # Gone again. If it comes back, that is a change.
                del self._waiting[path]
                continue
            current = told.st_size, told.st_mtime_ns, told.st_ctime_ns
            if not stat.S_ISREG(told.st_mode):
                del self._waiting[path]
            elif current != facts:
                self._waiting[path] = current, now
            elif now - since >= self.rest_s and told.st_size:
                found.append(path)
        for path in found:
            del self._waiting[path]
        self.seen.update(found)
        return sorted(found, key=lambda path: natural_key(str(path)))


def arrivals(folder: Path, rest_s: float, seen: set[Path]) -> Iterator[list[Path]]:
    """Every second or so the images below a folder that have become whole, possibly none; without end.

    rest_s: how long a file must rest. seen: images to be left out; those that are yielded are added. While the folder
    is away, nothing is yielded but empty lists, and what has come meanwhile follows when it is back.
    """
    settling = Settling(rest_s, seen)
    while True:
        identity = _identity(folder)
        if identity is None:
            time.sleep(_TICK_S)
            yield []
            continue
        try:
            yield from _while_there(folder, identity, settling)
        except (OSError, RuntimeError):
            # watchfiles has errors of its own for folders that vanish while it begins.
            time.sleep(_TICK_S)


def _while_there(folder: Path, identity: tuple[int, int], settling: Settling) -> Iterator[list[Path]]:
    """`arrivals` until the folder is no longer the same."""
    relist = 0.0
    changes = watchfiles.watch(
        folder,
        watch_filter=None,
        rust_timeout=round(1000 * _TICK_S),
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    for changed in changes:
        paths = [Path(name) for _, name in changed]
        inside = [path for path in paths if path.is_relative_to(folder)]
        settling.add([path for path in inside if is_image_below(path.relative_to(folder))])
        begin = time.monotonic()
        if begin >= relist:
            settling.add(images_below(folder))
            end = time.monotonic()
            relist = end + max(_LEAST_RELIST_S, (end - begin) / _RELIST_SHARE)
        yield settling.whole(time.monotonic())
        if _identity(folder) != identity:
            return


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another of its name, such as an empty mount point; None where there is none."""
    try:
        facts = os.stat(folder)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino

"""How many processors this process may keep busy: those it is bound to, and what a container allows it of them.

A quota does not hide processors, it stops the process for the rest of each period once it is used up: a library that
starts a thread for every processor it sees runs into that stop with all of them at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# Read when the library is loaded: OpenBLAS and OpenMP (NumPy, scikit-learn), OpenCV, TensorFlow.
_POOLS = ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def cores() -> int:
    """The most threads that can run at the same time, 1 or more."""
    allowed = quota()
    return _bound_to() if allowed is None else max(1, min(_bound_to(), int(allowed)))


def limit_pools() -> None:
    """Keep the pools of libraries that know of no quota within it, unless their variables are set already.

    To be called before any of them is loaded. Without a quota they count right by themselves.
    """
    if cores() < _bound_to():
        for name in _POOLS:
            os.environ.setdefault(name, str(cores()))


def quota() -> float | None:
    """Processors that the control groups of this process allow (Linux, version 1 and 2), None without a limit."""
    try:
        groups = Path("/proc/self/cgroup").read_text(errors="replace")
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        return None
    return quota_of(groups, mounts)


def quota_of(groups: str, mounts: str) -> float | None:
    """The same from the texts of /proc/self/cgroup and /proc/self/mountinfo; the limits are read where those say.

    The limits of the groups around a group bind it too: the least counts, from its own folder up to the mount point.
    """
    limits = [limit for folder in _folders(groups, mounts) if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _bound_to() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _folders(groups: str, mounts: str) -> Iterator[Path]:
    """The folders of the processor's control groups that this process is in, from its own up."""
    paths = {}
    for line in groups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths |= dict.fromkeys(controllers.split(","), path)
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(kind) < 3:
            continue
        # Version 2 has one group for everything, under an empty name; version 1 one for each controller.
        controller = {"cgroup2": "", "cgroup": "cpu"}.get(kind[0])
        if controller not in paths or (controller and controller not in kind[2].split(",")):
            continue
        root, top = (PurePosixPath(_unescaped(field)) for field in fields[3:5])
        path = PurePosixPath(paths[controller])
        # A container may see its own group as the root while the path is the one outside.
        below = path.relative_to(root) if path.is_relative_to(root) and ".." not in path.parts else PurePosixPath()
        yield from (Path(top, *below.parts[:depth]) for depth in range(len(below.parts), -1, -1))


def _limit(folder: Path) -> float | None:
    """Processors that one group allows, None without a limit."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota_us, period_us = " ".join((folder / name).read_text() for name in names).split()
            # Without a limit version 2 says max and version 1 -1.
            return int(quota_us) / int(period_us) if quota_us != "max" and int(quota_us) > 0 else None
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None


def _unescaped(field: str) -> str:
    """A field of mountinfo, in which a blank, a tab, a line end and a backslash stand in octal digits."""
    for character in " \t\n\\":
        field = field.replace(f"\\{ord(character):03o}", character)
    return field

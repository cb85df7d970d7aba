"""How many processors this process may use, given its affinity and the quota of its container.

A quota does not hide processors: it stops the process for the rest of each period once it is used up. A library that
starts one thread per visible processor is then stopped with all its threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# Read when the libraries are loaded: OpenBLAS and OpenMP (NumPy, scikit-learn), OpenCV, TensorFlow.
_POOLS = ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def cores() -> int:
    """Return how many threads can run at the same time, at least 1."""
    allowed = quota()
    return _bound_to() if allowed is None else max(1, min(_bound_to(), int(allowed)))


def limit_pools() -> None:
    """Limit the thread pools of libraries that ignore quotas, unless their variables are already set.

    Call it before any of them is loaded. Without a quota the libraries count correctly themselves.
    """
    if cores() < _bound_to():
        for name in _POOLS:
            os.environ.setdefault(name, str(cores()))


def quota() -> float | None:
    """Processors allowed by the control groups of this process (Linux, version 1 and 2); None without a limit."""
    try:
        groups = Path("/proc/self/cgroup").read_text(errors="replace")
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        return None
    return quota_of(groups, mounts)


def quota_of(groups: str, mounts: str) -> float | None:
    """The same, given the texts of /proc/self/cgroup and /proc/self/mountinfo.

    A group is also bound by the groups around it, so the smallest limit up to the mount point counts.
    """
    limits = [limit for folder in _folders(groups, mounts) if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _bound_to() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _folders(groups: str, mounts: str) -> Iterator[Path]:
    """Folders of the processor control groups of this process, from its own upwards."""
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
        # Version 2 has one group for everything, with an empty name; version 1 has one per controller.
        controller = {"cgroup2": "", "cgroup": "cpu"}.get(kind[0])
        if controller not in paths or (controller and controller not in kind[2].split(",")):
            continue
        root, top = (PurePosixPath(_unescaped(field)) for field in fields[3:5])
        path = PurePosixPath(paths[controller])
        # A container may see its own group as the root, but its path as seen from outside.
        below = path.relative_to(root) if path.is_relative_to(root) and ".." not in path.parts else PurePosixPath()
        yield from (Path(top, *below.parts[:depth]) for depth in range(len(below.parts), -1, -1))


def _limit(folder: Path) -> float | None:
    """Processors allowed by one group, None without a limit."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota_us, period_us = " ".join((folder / name).read_text() for name in names).split()
            # "No limit" is max in version 2 and -1 in version 1.
            return int(quota_us) / int(period_us) if quota_us != "max" and int(quota_us) > 0 else None
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None


def _unescaped(field: str) -> str:
    """A field of mountinfo with the octal escapes of space, tab, newline and backslash resolved."""
    for character in " \t\n\\":
        field = field.replace(f"\\{ord(character):03o}", character)
    return field

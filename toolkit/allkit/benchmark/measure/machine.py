"""The machine that made a measurement, as a record names it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from allkit.runtime.machine import processor
from allkit.support.cpus import cores

# Instructions that decide how fast a convolution is.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm")
# A load per core from which other work takes a share of the processor that matters.
_BUSY = 0.5
_LIBRARIES = ("allkit", "onnxruntime-gpu", "onnxruntime", "opencv-python-headless", "numpy")


def facts() -> dict[str, Any]:
    """Processor, memory, GPU, software and load; None for what the system does not report."""
    return {
        "processor": processor(),
        "cores": cores(),
        "flags": [flag for flag in _FLAGS if flag in _cpu_flags()],
        "memory_gib": _memory_gib(),
        "gpu": _gpu(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": libraries(_LIBRARIES),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load": _load(),
    }


def busy() -> str | None:
    """A warning where other work keeps the processor busy, whose figures would be those of a slower machine."""
    load = _load()
    if load is None or load < _BUSY * cores():
        return None
    return (
        f"warning: the machine is busy (load {load:.1f} on {cores()} cores): figures will be slow and vary; stop other "
        "work, or measure later"
    )


def _load() -> float | None:
    """The mean number of processes that ran or waited in the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _cpu_flags() -> set[str]:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith(("flags", "Features")):
            return set(line.partition(":")[2].split())
    return set()


def _memory_gib() -> float | None:
    for line in (_read("/proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return round(int(line.split()[1]) / 2**20, 1)
    return None


def _gpu() -> str | None:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def libraries(names: Iterable[str]) -> dict[str, str]:
    """The versions of those distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return None

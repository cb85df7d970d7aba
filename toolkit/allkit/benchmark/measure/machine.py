"""The machine that made a measurement, for the record."""

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

# Instruction sets that determine the speed of a convolution.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm")
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
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


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
    """Versions of the distributions that are installed."""
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

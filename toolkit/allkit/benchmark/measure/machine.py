"""The machine that made a measurement, for the record."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import pynvml

from allkit.runtime.machine import processor
from allkit.support.cpus import cores

# Instruction sets that determine the speed of a convolution.
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
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
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
    if load < _BUSY * cores():
        return None
    return (
        f"warning: the machine is busy (load {load:.1f} on {cores()} cores): figures will be slow and vary; stop other "
        "work, or measure later"
    )


def _load() -> float:
    """The mean number of processes that ran or waited in the last minute."""
    return round(psutil.getloadavg()[0], 2)


def _cpu_flags() -> set[str]:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith(("flags", "Features")):
            return set(line.partition(":")[2].split())
    return set()


def gpus() -> list[pynvml.c_nvmlDevice_t]:
    """NVML's handles of the NVIDIA GPUs, none without a driver."""
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


def _gpu() -> str | None:
    """Name, driver and memory, one GPU a line."""
    rows = (
        f"{pynvml.nvmlDeviceGetName(gpu)}, {pynvml.nvmlSystemGetDriverVersion()}, "
        f"{pynvml.nvmlDeviceGetMemoryInfo(gpu).total // 2**20} MiB"
        for gpu in gpus()
    )
    return "\n".join(rows) or None


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

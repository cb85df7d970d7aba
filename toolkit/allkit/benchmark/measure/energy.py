"""The energy that the machine has used, where it can be read.

Counters that only increase: RAPL of the processor packages on Linux (microjoules, with overflow), NVML of NVIDIA GPUs
(millijoules).
"""

from __future__ import annotations

import ctypes
from pathlib import Path

RAPL = Path("/sys/class/powercap")


class Meter:
    """Joules since its creation, of all packages and GPUs with a counter; None where there is none."""

    def __init__(self):
        self._packages = {
            folder / "energy_uj": limit
            for folder in sorted(RAPL.glob("intel-rapl:*"))
            if folder.name.count(":") == 1
            and _number(folder / "energy_uj") is not None
            and (limit := _number(folder / "max_energy_range_uj"))
        }
        self._gpus = _Gpus()
        self._start = self._read()

    def joules(self) -> float | None:
        """What was used since the start."""
        (packages, gpus), (first_packages, first_gpus) = self._read(), self._start
        if not (packages or gpus) or None in packages:
            return None
        used = sum(
            (now - before) % (limit + 1)
            for now, before, limit in zip(packages, first_packages, self._packages.values(), strict=True)
        )
        return used / 1e6 + sum(now - before for now, before in zip(gpus, first_gpus, strict=True)) / 1e3

    def _read(self) -> tuple[list[int | None], list[int]]:
        return [_number(path) for path in self._packages], self._gpus.millijoules()


class _Gpus:
    def __init__(self):
        self._handles: list[ctypes.c_void_p] = []
        try:
            self._nvml = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            return
        count = ctypes.c_uint()
        if self._nvml.nvmlInit_v2() or self._nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
            return
        for i in range(count.value):
            handle, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
            if not self._nvml.nvmlDeviceGetHandleByIndex_v2(i, ctypes.byref(handle)) and not (
                self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(energy))
            ):
                self._handles.append(handle)

    def millijoules(self) -> list[int]:
        values = []
        for handle in self._handles:
            energy = ctypes.c_ulonglong()
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(energy))
            values.append(energy.value)
        return values


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None

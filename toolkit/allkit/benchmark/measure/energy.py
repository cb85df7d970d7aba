"""The energy that the machine has used, where it can be read.

Counters that only increase: RAPL of the processor packages on Linux (microjoules, with overflow), NVML of NVIDIA GPUs
(millijoules).
"""

from __future__ import annotations

from pathlib import Path

import pynvml

from allkit.benchmark.measure.machine import gpus

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
        self._gpus = [gpu for gpu in gpus() if _millijoules(gpu) is not None]
        self._start = self._read()

    def joules(self) -> float | None:
        """What was used since the start."""
        (packages, gpus), (first_packages, first_gpus) = self._read(), self._start
        if not (packages or gpus) or None in (*packages, *gpus):
            return None
        used = sum(
            (now - before) % (limit + 1)
            for now, before, limit in zip(packages, first_packages, self._packages.values(), strict=True)
        )
        return used / 1e6 + sum(now - before for now, before in zip(gpus, first_gpus, strict=True)) / 1e3

    def _read(self) -> tuple[list[int | None], list[int | None]]:
        return [_number(path) for path in self._packages], [_millijoules(gpu) for gpu in self._gpus]


def _millijoules(gpu: pynvml.c_nvmlDevice_t) -> int | None:
    try:
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except pynvml.NVMLError:
        return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None

from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from allkit.benchmark.measure.machine import facts, gpus


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine with two cards, whose handles are their names."""
    names = ["NVIDIA H100", "NVIDIA L4"]
    memory = {"NVIDIA H100": 80 * 2**30, "NVIDIA L4": 24 * 2**30}
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", names.__getitem__)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda gpu: gpu)
    monkeypatch.setattr(pynvml, "nvmlSystemGetDriverVersion", lambda: "580.1")
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda gpu: SimpleNamespace(total=memory[gpu]))


@pytest.mark.usefixtures("two_gpus")
def test_every_gpu_has_its_line():
    assert facts()["gpu"] == "NVIDIA H100, 580.1, 81920 MiB\nNVIDIA L4, 580.1, 24576 MiB"


def test_without_a_driver_there_is_no_gpu(monkeypatch):
    def fail():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert gpus() == []
    assert facts()["gpu"] is None


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs Linux")
def test_memory_is_what_the_system_has():
    with open("/proc/meminfo") as file:
        kib = next(int(line.split()[1]) for line in file if line.startswith("MemTotal"))
    assert facts()["memory_gib"] == pytest.approx(kib / 2**20, abs=0.05)

import pynvml
import pytest

from allkit.benchmark.measure import energy
from allkit.benchmark.measure.energy import Meter


@pytest.fixture
def rapl(tmp_path, monkeypatch):
    """Two packages with a counter up to 999 microjoules, and a domain inside the first."""
    monkeypatch.setattr(energy, "RAPL", tmp_path)
    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "max_energy_range_uj").write_text("999\n")
        (tmp_path / name / "energy_uj").write_text("900\n")
    return tmp_path


def test_packages_add_up_and_counters_wrap_round(rapl):
    meter = Meter()
    (rapl / "intel-rapl:0" / "energy_uj").write_text("950\n")
    (rapl / "intel-rapl:1" / "energy_uj").write_text("100\n")
    (rapl / "intel-rapl:0:0" / "energy_uj").write_text("999\n")
    # 50 and, past 999 back to 0, 200 microjoules; what lies inside a package is in its count already.
    assert meter.joules() == pytest.approx(250e-6)


def test_where_nothing_tells_there_is_no_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "RAPL", tmp_path)
    assert Meter().joules() is None


def test_a_counter_that_may_not_be_read_is_left_out(rapl):
    (rapl / "intel-rapl:1" / "energy_uj").unlink()
    meter = Meter()
    (rapl / "intel-rapl:0" / "energy_uj").write_text("950\n")
    assert meter.joules() == pytest.approx(50e-6)


def test_gpus_with_a_counter_add_to_the_packages(rapl, monkeypatch):
    millijoules = {"new": 5000, "old": None}

    def read(gpu):
        if millijoules[gpu] is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return millijoules[gpu]

    monkeypatch.setattr(energy, "gpus", lambda: list(millijoules))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", read)
    meter = Meter()
    millijoules["new"] += 2500
    assert meter.joules() == pytest.approx(2.5)
    # A driver that ends meanwhile leaves no figure, not a wrong one.
    millijoules["new"] = None
    assert meter.joules() is None

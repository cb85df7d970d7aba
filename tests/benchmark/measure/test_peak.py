import itertools

import pytest

from allkit.benchmark.measure import peak


def test_the_peak_is_that_of_the_fastest_product(monkeypatch):
    found = peak.Peak()
    # Every product takes a second, so the largest is the fastest: 1024 cubed multiplications and additions.
    monkeypatch.setattr(peak.time, "perf_counter", itertools.count().__next__)
    found.measure()
    assert found.gops == {"fp32": pytest.approx(2.147483648), "int8": pytest.approx(2.147483648)}
    monkeypatch.setattr(peak.time, "perf_counter", itertools.count(step=2).__next__)
    found.measure()
    assert found.gops["fp32"] == pytest.approx(2.147483648), "a slower moment is not the peak"

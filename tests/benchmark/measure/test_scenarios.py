import pytest

from allkit.benchmark.measure import scenarios
from allkit.benchmark.measure.scenarios import offline, single


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when told; returns the function that moves it."""
    now = [100.0]
    monkeypatch.setattr(scenarios.time, "perf_counter", lambda: now[0])

    def work(seconds):
        now[0] += seconds

    return work


def test_latency_counts_from_when_the_query_was_due(clock):
    assert single(lambda number: clock(0.5 + number), 0, 0.0, 3) == [0.5, 1.5, 2.5]


def test_a_minimum_of_time_and_of_queries_both_hold(clock):
    assert len(single(lambda number: clock(1.0), 0, 5.0, 2)) == 5
    assert len(single(lambda number: clock(1.0), 0, 2.0, 7)) == 7


def test_queries_are_numbered_on_from_the_first(clock):
    numbers = []
    single(lambda number: numbers.append(number) or clock(1.0), 40, 0.0, 3)
    assert numbers == [40, 41, 42]


def test_a_rate_is_images_over_the_time_of_the_pass(clock):
    passes = iter([2.0, 4.0, 1.0])
    assert offline(lambda: clock(next(passes)) or 8, 6.0) == [4.0, 2.0]


def test_there_is_one_pass_at_least(clock):
    assert offline(lambda: clock(3.0) or 6, 0.0) == [2.0]

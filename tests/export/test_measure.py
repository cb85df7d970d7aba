import numpy as np

from allkit.export import measure
from allkit.export.measure import BATCH, in_batches, latencies


class Clock:
    """A clock that a fake session moves on."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


class FakeSession:
    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.seen = clock, seconds, []

    def run(self, names, feeds):
        self.seen.append(int(feeds["image"][0, 0, 0, 0]))
        assert feeds["image"].shape == (1, 2, 2, 3)
        self.clock.now += self.seconds


def test_batches_are_of_one_size_and_in_order():
    sizes = [len(batch) for batch in in_batches(np.zeros((2 * BATCH + 1, 2, 2, 3)))]
    assert sum(sizes) == 2 * BATCH + 1
    assert max(sizes) <= BATCH
    assert max(sizes) - min(sizes) <= 1
    rows = np.arange(40)
    assert np.array_equal(np.concatenate(in_batches(rows)), rows)


def test_latencies_are_medians_in_milliseconds_of_sessions_that_take_turns(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    monkeypatch.setattr(measure, "_LEAST_TURNS", 7)
    sessions = {"slow": FakeSession(clock, 0.05), "fast": FakeSession(clock, 0.002)}
    pixels = np.zeros((7, 2, 2, 3), np.uint8)
    pixels[:, 0, 0, 0] = range(7)
    taken = latencies(sessions, pixels)
    assert {name: round(value, 6) for name, value in taken.items()} == {"slow": 50.0, "fast": 2.0}
    assert set(sessions["slow"].seen) == set(sessions["fast"].seen) == set(range(7))

import numpy as np

from allkit.exporting import measure
from allkit.exporting.measure import BATCH, in_batches, latencies


class Clock:
    """A clock that a fake session moves on."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


class Work:
    """Takes some seconds of that clock, and remembers its images."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.seen = clock, seconds, []

    def __call__(self, image):
        self.seen.append(int(image[0, 0, 0, 0]))
        assert image.shape == (1, 2, 2, 3)
        self.clock.now += self.seconds


def test_batches_are_of_one_size_and_in_order():
    sizes = [len(batch) for batch in in_batches(np.zeros((2 * BATCH + 1, 2, 2, 3)))]
    assert sum(sizes) == 2 * BATCH + 1
    assert max(sizes) <= BATCH
    assert max(sizes) - min(sizes) <= 1
    rows = np.arange(40)
    assert np.array_equal(np.concatenate(in_batches(rows)), rows)


def test_latencies_are_in_milliseconds_and_the_ways_take_turns(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    monkeypatch.setattr(measure, "_LEAST_TURNS", 7)
    # The first run of a turn begins at once, the second after 0.05 or 0.002 s.
    monkeypatch.setattr(measure, "_SETTLING_SECONDS", 0.003)
    works = {"slow": Work(clock, 0.05), "fast": Work(clock, 0.002)}
    pixels = np.zeros((7, 2, 2, 3), np.uint8)
    pixels[:, 0, 0, 0] = range(7)
    taken = latencies(works, pixels)
    assert np.allclose(taken["slow"], 50)
    assert np.allclose(taken["fast"], 2)
    assert len(taken["slow"]) == len(taken["fast"]) == 7
    assert (len(works["slow"].seen), len(works["fast"].seen)) == (2 * 7, 3 * 7)
    assert set(works["slow"].seen) == set(works["fast"].seen) == set(range(7))

"""How a pipeline and its threads end."""

import gc
import itertools
import subprocess
import sys
import threading
import time

import pytest

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.runtime.pipeline import run_in_batches
from allkit.runtime.plan import Plan
from allkit.runtime.workers import Workers
from models import first_pixel, flat

PIXELS = PixelPath(8)


def plan(batch_size, workers=2):
    return Plan(workers, 1, batch_size)


def test_leaving_early_ends_the_worker_threads():
    before = threading.active_count()
    results = run_in_batches(itertools.repeat(flat(0, 0, 0)), PIXELS, first_pixel, plan(2, workers=3))
    next(results)
    assert threading.active_count() > before
    results.close()
    assert threading.active_count() == before


def test_when_it_is_closed_workers_stop_after_the_image_that_they_are_at(monkeypatch):
    started, go_on = threading.Semaphore(0), threading.Event()
    numbers = []

    def load(source, lap, number):
        numbers.append(number)
        if number >= 2:
            started.release()
            assert go_on.wait(30)
        return source

    results = run_in_batches([flat(i, 0, 0)[:8, :8] for i in range(64)], PIXELS, first_pixel, plan(2), load=load)
    # The first batch is handed out; the second and third are at their first image.
    assert next(results) == 0
    assert started.acquire(timeout=30)
    assert started.acquire(timeout=30)
    stop = Workers.stop
    monkeypatch.setattr(Workers, "stop", lambda self: (stop(self), go_on.set()))
    results.close()
    assert sorted(numbers) == [0, 1, 2, 4]


def wait_for_threads(count):
    deadline = time.monotonic() + 30
    while threading.active_count() > count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def endless(workers=3, infer=first_pixel):
    return run_in_batches(itertools.repeat(flat(7, 0, 0)), PIXELS, infer, plan(2, workers))


def test_the_threads_end_with_the_last_result_and_soon_after_an_exception():
    before = threading.active_count()
    assert list(run_in_batches([flat(7, 0, 0)] * 20, PIXELS, first_pixel, plan(2, workers=3))) == [7] * 20
    assert threading.active_count() == before

    def failing(batch):
        raise AllkitError("out of memory")

    with pytest.raises(AllkitError, match="out of memory"):
        list(endless(infer=failing))
    wait_for_threads(before)


def test_what_was_closed_gives_nothing_more():
    results = endless()
    next(results)
    results.close()
    results.close()
    assert list(results) == []


def test_an_iterator_that_is_dropped_ends_its_threads_without_waiting_for_them():
    before = threading.active_count()
    reached, released = threading.Event(), threading.Event()
    first = threading.Lock()

    def infer(batch):
        if not first.acquire(blocking=False):
            reached.set()
            assert released.wait(30)
        return first_pixel(batch)

    results = endless(workers=2, infer=infer)
    assert next(results) == 7
    assert reached.wait(30)
    # Whoever waits for the threads here waits for what comes after it.
    del results
    gc.collect()
    assert threading.active_count() > before
    released.set()
    wait_for_threads(before)


def test_a_collector_that_runs_in_any_thread_ends_iterators_in_circles_without_a_deadlock():
    before = threading.active_count()

    def abandon():
        results = endless(workers=2)
        circle = [results]
        circle.append(circle)
        assert next(results) == 7

    thresholds = gc.get_threshold()
    # So often that it runs in workers and in the midst of starting threads too.
    gc.set_threshold(5)
    try:
        for _ in range(300):
            abandon()
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    wait_for_threads(before)


def test_an_iterator_that_another_thread_takes_from_is_not_ended_by_it():
    entered, released = threading.Event(), threading.Event()

    def source():
        yield flat(1, 0, 0)
        entered.set()
        assert released.wait(30)
        yield flat(2, 0, 0)

    results = run_in_batches(source(), PIXELS, first_pixel, plan(1))
    taken = []
    thread = threading.Thread(target=lambda: taken.extend(results))
    thread.start()
    assert entered.wait(30)
    with pytest.raises(ValueError, match="already executing"):
        next(results)
    released.set()
    thread.join(30)
    assert taken == [1, 2]


LEFT_OPEN = """
import itertools, sys, time
import numpy as np
from allkit.imaging.pixel_path import PixelPath
from allkit.runtime.pipeline import run_in_batches
from allkit.runtime.plan import Plan

def infer(batch):
    time.sleep({seconds})
    return batch[:, 0, 0, 0].copy()

results = run_in_batches(itertools.repeat(np.zeros((900, 900, 3), np.uint8)), PixelPath(8), infer, Plan(2, 1, 4))
{take}
print("end", flush=True)
"""


@pytest.mark.parametrize("take", ["next(results)", "next(results); del results"])
def test_a_program_may_end_with_results_left_to_take(take):
    for _ in range(3):
        code = LEFT_OPEN.format(seconds=0.02, take=take)
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
        assert (process.returncode, process.stdout, process.stderr) == (0, b"end\n", b"")


def test_a_program_ends_though_a_run_of_the_model_does_not(monkeypatch):
    start = time.monotonic()
    code = "import allkit.runtime.workers as workers; workers._LONGEST_WAIT_S = 0.5\n" + LEFT_OPEN.format(
        seconds=3600, take="import threading; threading.Thread(target=next, args=[results], daemon=True).start()"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert (process.returncode, process.stdout) == (0, b"end\n")
    assert time.monotonic() - start < 30

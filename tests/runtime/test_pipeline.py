import gc
import itertools
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.runtime.pipeline import run_in_batches
from allkit.runtime.plan import Plan
from allkit.runtime.workers import Workers
from models import flat

PIXELS = PixelPath(8)


def plan(batch_size, workers=2):
    return Plan(workers, 1, batch_size)


def first_pixel(batch):
    """Stands for a model: the red value of the first pixel of each image, in an array of its own."""
    return batch[:, 0, 0, 0].copy()


def test_results_come_in_input_order_whatever_the_batch_size():
    images = [flat(i, 0, 0) for i in range(23)]
    for batch_size in (1, 2, 7, 23, 100):
        assert list(run_in_batches(images, PIXELS, first_pixel, plan(batch_size))) == list(range(23))


def test_batches_are_full_but_for_the_last():
    sizes = []

    def infer(batch):
        assert batch.shape[1:] == (8, 8, 3)
        assert batch.dtype == np.uint8
        assert batch.flags.c_contiguous
        sizes.append(len(batch))
        return first_pixel(batch)

    list(run_in_batches(iter([flat(0, 0, 0)] * 10), PIXELS, infer, plan(4)))
    assert sorted(sizes) == [2, 4, 4]


def test_images_of_known_number_are_dealt_out_so_that_every_worker_has_some():
    sizes = []

    def infer(batch):
        sizes.append(len(batch))
        return first_pixel(batch)

    assert list(run_in_batches([flat(i, 0, 0) for i in range(9)], PIXELS, infer, plan(32, workers=3))) == list(range(9))
    assert sizes == [3, 3, 3]


def test_batches_run_side_by_side():
    meeting = threading.Barrier(2, timeout=30)

    def infer(batch):
        meeting.wait()
        return first_pixel(batch)

    assert list(run_in_batches([flat(i, 0, 0) for i in range(8)], PIXELS, infer, plan(2))) == list(range(8))


def test_a_slow_first_image_does_not_change_the_order():
    second_done = threading.Event()

    class Waiting(PixelPath):
        def load(self, source, lap):
            if source[0, 0, 0] == 1:
                assert second_done.wait(30)
            else:
                second_done.set()
            return super().load(source, lap)

    assert list(run_in_batches([flat(1, 0, 0), flat(2, 0, 0)], Waiting(8), first_pixel, plan(1))) == [1, 2]


def test_a_failing_source_yields_its_error_in_its_place():
    png = cv2.imencode(".png", flat(0, 0, 5))[1].tobytes()  # OpenCV writes BGR: this is red 5
    results = list(run_in_batches([png, b"", "nowhere.png", png], PIXELS, first_pixel, plan(2)))
    assert results[0] == 5
    assert isinstance(results[1], AllkitError)
    assert "nowhere.png" in str(results[2])
    assert results[3] == 5


def test_a_batch_of_failures_alone_does_not_reach_the_model():
    def infer(batch):
        raise AssertionError("nothing to infer")

    assert len(list(run_in_batches([b"", b"x", b""], PIXELS, infer, plan(2)))) == 3


def test_no_source_is_read_before_the_first_result_is_asked_for():
    def forbidden():
        raise AssertionError("read too early")
        yield

    run_in_batches(forbidden(), PIXELS, first_pixel, plan(2))


def test_an_endless_source_is_read_a_fixed_number_of_batches_ahead():
    read = []

    def endless():
        for i in itertools.count():
            read.append(i)
            yield flat(i % 256, 0, 0)

    results = run_in_batches(endless(), PIXELS, first_pixel, plan(4, workers=2))
    for taken in range(200):
        assert next(results) == taken % 256
        assert len(read) <= taken + 4 * (2 + 1)
    results.close()


def test_images_are_loaded_into_as_many_arrays_as_there_are_workers():
    arrays = set()

    def infer(batch):
        arrays.add(batch.__array_interface__["data"][0])
        return first_pixel(batch)

    sources = (flat(i % 256, 0, 0) for i in range(400))
    assert list(run_in_batches(sources, PIXELS, infer, plan(4, workers=2))) == [i % 256 for i in range(400)]
    assert len(arrays) <= 2


@pytest.mark.parametrize("workers", [1, 2])
def test_an_array_that_the_caller_fills_again_is_classified_as_it_was(workers):
    frame = flat(0, 0, 0)

    def camera():
        for i in range(10):
            frame[:] = i
            yield frame

    assert list(run_in_batches(camera(), PIXELS, first_pixel, plan(3, workers))) == list(range(10))


def test_leaving_early_ends_the_worker_threads():
    before = threading.active_count()
    results = run_in_batches(itertools.repeat(flat(0, 0, 0)), PIXELS, first_pixel, plan(2, workers=3))
    next(results)
    assert threading.active_count() > before
    results.close()
    assert threading.active_count() == before


def test_an_exception_of_the_source_itself_reaches_the_caller():
    def broken():
        yield flat(0, 0, 0)
        raise OSError("camera unplugged")

    with pytest.raises(OSError, match="camera unplugged"):
        list(run_in_batches(broken(), PIXELS, first_pixel, plan(2)))


@pytest.mark.parametrize(("images", "workers"), [([flat(3, 0, 0)], 4), ([flat(3, 0, 0)] * 9, 1)])
def test_where_one_worker_is_enough_the_caller_is_it(images, workers):
    threads = set()

    def infer(batch):
        threads.add(threading.current_thread())
        return first_pixel(batch)

    assert list(run_in_batches(images, PIXELS, infer, plan(4, workers))) == [3] * len(images)
    assert threads == {threading.current_thread()}


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

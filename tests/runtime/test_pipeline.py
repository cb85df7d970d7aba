import itertools
import threading

import cv2
import numpy as np
import pytest

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.runtime.pipeline import run_in_batches
from allkit.runtime.plan import Plan
from models import first_pixel, flat

PIXELS = PixelPath(8)


def plan(batch_size, workers=2):
    return Plan(workers, 1, batch_size)


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

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest

from allkit.runtime import io_binding
from allkit.runtime.io_binding import BoundRunner, pinned
from models import flat, tiny_model

NAMES = ["probabilities", "distance"]


class Watched:
    """A session that notes how it was run, and as which recording."""

    def __init__(self, session):
        self._session, self.runs = session, []

    def run(self, names, feed, options):
        self.runs.append(("plain", len(feed["image"]), options.get_run_config_entry("gpu_graph_id")))
        return self._session.run(names, feed, options)

    def run_with_iobinding(self, binding, options):
        self.runs.append(("bound", options.get_run_config_entry("gpu_graph_id")))
        self._session.run_with_iobinding(binding, options)

    def __getattr__(self, name):
        return getattr(self._session, name)


@pytest.fixture
def session(tmp_path):
    path = tiny_model(tmp_path / "m.onnx")
    return Watched(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]))


def batch_of(*reds):
    return np.stack([flat(red, 0, 0) for red in reds])


def reds(outputs):
    """The red level of each image, which the distance is a third of."""
    return (3 * outputs[1]).round().astype(int).tolist()


def test_a_size_that_comes_again_runs_from_buffers_of_its_own(session):
    runner = BoundRunner(session, "cpu", graphs=False)
    results = [runner.run(NAMES, batch_of(*row)) for row in ([1, 2], [3, 4], [5, 6], [7])]
    # Each result stays what it was when the buffers are filled again.
    assert [reds(result) for result in results] == [[1, 2], [3, 4], [5, 6], [7]]
    assert session.runs == [("plain", 2, "-1"), ("bound", "-1"), ("bound", "-1"), ("plain", 1, "-1")]


def test_each_size_and_choice_of_outputs_is_a_recording_of_its_own(session):
    runner = BoundRunner(session, "cpu", graphs=True)
    for row, names in (([1], NAMES), ([1, 2], NAMES), ([3], NAMES[::-1])):
        for _ in range(2):
            runner.run(names, batch_of(*row))
    assert [run for run in session.runs if run[0] == "bound"] == [
        ("bound", "0"),
        ("bound", "1"),
        ("bound", "2"),
    ]
    assert reds(runner.run(NAMES, batch_of(9))) == [9]


def test_sizes_beyond_the_most_bindings_run_without(session, monkeypatch):
    monkeypatch.setattr(io_binding, "_MOST_BINDINGS", 1)
    runner = BoundRunner(session, "cpu", graphs=True)
    for row in ([1], [1], [2, 3], [2, 3], [2, 3]):
        assert reds(runner.run(NAMES, batch_of(*row))) == row
    assert [run[0] for run in session.runs] == ["plain", "bound", "plain", "plain", "plain"]


def test_runs_of_many_threads_do_not_mix(session):
    runner = BoundRunner(session, "cpu", graphs=False)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda red: reds(runner.run(NAMES, batch_of(red, red))), range(200)))
    assert results == [[red, red] for red in range(200)]


class Driver:
    """Stands for the NVIDIA driver; `fails` names the call that does not succeed."""

    def __init__(self, fails=""):
        self.fails, self.pinned = fails, set()

    def __getattr__(self, name):
        return lambda *arguments: int(name == self.fails)

    def cuMemHostRegister_v2(self, address, size, flags):
        if self.fails == "cuMemHostRegister_v2":
            return 1
        self.pinned.add(address.value)
        return 0

    def cuMemHostUnregister(self, address):
        self.pinned.remove(address.value)


@pytest.fixture
def driver(monkeypatch, request):
    io_binding._context.cache_clear()
    made = Driver(getattr(request, "param", ""))
    monkeypatch.setattr(io_binding, "driver", lambda: made)
    yield made
    io_binding._context.cache_clear()


def test_pinned_memory_is_pinned_as_long_as_the_array_or_a_view_of_it_lives(driver):
    view = pinned((64, 150, 150, 3), np.uint8)[:3]
    assert view.shape == (3, 150, 150, 3)
    assert driver.pinned == {view.ctypes.data}
    del view
    gc.collect()
    assert driver.pinned == set()


def test_a_small_array_is_not_pinned(driver):
    pinned((1, 150, 150, 3), np.uint8)
    assert driver.pinned == set()


@pytest.mark.parametrize("driver", ["cuInit", "cuCtxSetCurrent", "cuMemHostRegister_v2"], indirect=True)
def test_where_the_driver_declines_the_memory_is_ordinary(driver):
    array = pinned((64, 150, 150, 3), np.uint8)
    assert driver.pinned == set()
    array[:] = 7
    del array
    gc.collect()


def test_without_a_driver_the_memory_is_ordinary(monkeypatch):
    io_binding._context.cache_clear()
    monkeypatch.setattr(io_binding, "driver", lambda: None)
    assert pinned((64, 150, 150, 3), np.uint8).shape == (64, 150, 150, 3)
    io_binding._context.cache_clear()

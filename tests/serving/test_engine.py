import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest

from allkit import AllkitError, Classifier
from allkit.serving.engine import Engine, Late, Overloaded
from models import flat, tiny_model

MAP = {"method": "HiResCAM", "layer": "image", "stride_px": 1, "height": 8, "width": 8}
IMAGES = [flat(5 * number, 250 - 5 * number, 90, 9, 12) for number in range(40)]


@pytest.fixture
def classifier(tmp_path):
    model = tiny_model(tmp_path / "m.onnx", heatmap=MAP)
    return Classifier(model, device="cpu", batch_size=4, workers=2, threads=1)


class Gate:
    """Holds the runs of a model until it is opened."""

    def __init__(self, classifier, monkeypatch):
        self._open, self.begun, self.sizes = threading.Event(), threading.Semaphore(0), []
        run = classifier._model.run

        def held(batch, heatmaps=False):
            self.sizes.append(len(batch))
            self.begun.release()
            assert self._open.wait(20)
            return run(batch, heatmaps)

        monkeypatch.setattr(classifier._model, "run", held)

    def open(self):
        self._open.set()


@pytest.fixture
def gate(classifier, monkeypatch):
    return Gate(classifier, monkeypatch)


def test_many_callers_get_the_answers_of_the_classifier(classifier):
    expected = list(classifier(IMAGES))
    engine = Engine(classifier, 1000)
    found = {}

    def call(number):
        found[number] = [one.result(20) for one in engine.submit(IMAGES[number : number + 8], 20)]

    threads = [threading.Thread(target=call, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.close()
    assert all(found[number] == expected[number : number + 8] for number in range(32))


def test_what_waits_is_divided_among_the_workers_and_batched(classifier, gate):
    engine = Engine(classifier, 1000)
    first = engine.submit(IMAGES[:1], 20)
    assert gate.begun.acquire(timeout=20)
    second = engine.submit(IMAGES[:1], 20)
    assert gate.begun.acquire(timeout=20)
    # Both workers are busy with one image each; five wait, three for the first that is free and two for the other.
    rest = engine.submit(IMAGES[:5], 20)
    assert engine.waiting == 5
    gate.open()
    for answer in (*first, *second, *rest):
        answer.result(20)
    engine.close()
    assert gate.sizes[:2] == [1, 1]
    assert sum(gate.sizes) == 7
    assert max(gate.sizes) == 3


def test_beyond_its_room_the_queue_takes_all_or_nothing(classifier, gate):
    engine = Engine(classifier, 3)
    for _ in range(2):
        engine.submit(IMAGES[:1], 20)
        assert gate.begun.acquire(timeout=20)
    engine.submit(IMAGES[:2], 20)
    with pytest.raises(Overloaded):
        engine.submit(IMAGES[:2], 20)
    assert engine.waiting == 2
    (last,) = engine.submit(IMAGES[:1], 20)
    gate.open()
    assert last.result(20).error is None
    engine.close()


def test_what_is_cancelled_or_late_costs_nothing(classifier, gate):
    engine = Engine(classifier, 100)
    for _ in range(2):
        engine.submit(IMAGES[:1], 20)
        assert gate.begun.acquire(timeout=20)
    (cancelled,), (late,), (wanted,) = (engine.submit(IMAGES[:1], seconds) for seconds in (20, 0, 20))
    assert cancelled.cancel()
    time.sleep(0.01)
    gate.open()
    assert wanted.result(20).error is None
    with pytest.raises(Late):
        late.result(20)
    with pytest.raises(CancelledError):
        cancelled.result(20)
    engine.close()
    assert sum(gate.sizes) == 3


def test_heat_maps_are_computed_for_those_who_want_them(classifier):
    engine = Engine(classifier, 100)
    answers = [engine.submit([image], 20, heatmap=number % 2 == 1)[0] for number, image in enumerate(IMAGES)]
    predictions = [answer.result(20) for answer in answers]
    engine.close()
    for number, prediction in enumerate(predictions):
        assert (prediction.heatmap is not None) == (number % 2 == 1)
        if prediction.heatmap is not None:
            # The map of this model is the red of each pixel.
            np.testing.assert_array_equal(prediction.heatmap, IMAGES[number][:8, :8, 0])


def test_an_image_that_cannot_be_read_is_an_answer_and_a_failure_of_the_model_an_error(classifier, monkeypatch):
    engine = Engine(classifier, 100)
    bad, good = engine.submit([b"no image", IMAGES[0]], 20)
    assert "damaged" in bad.result(20).error
    assert good.result(20).label

    def fail(*_):
        raise AllkitError("out of memory")

    monkeypatch.setattr(classifier._model, "run", fail)
    (failed,) = engine.submit(IMAGES[:1], 20)
    with pytest.raises(AllkitError, match="out of memory"):
        failed.result(20)
    monkeypatch.undo()
    (again,) = engine.submit(IMAGES[:1], 20)
    assert again.result(20).label
    engine.close()


def test_closing_answers_what_waits_and_refuses_the_rest(classifier, gate):
    engine = Engine(classifier, 100)
    answers = engine.submit(IMAGES[:20], 20)
    closing = threading.Thread(target=engine.close)
    closing.start()
    while True:
        try:
            answers += engine.submit(IMAGES[:1], 20)
        except Overloaded:
            break
    gate.open()
    closing.join(20)
    assert not closing.is_alive()
    assert all(answer.result(0).error is None for answer in answers)


def test_each_batch_is_told_with_its_stages(classifier):
    told = []
    engine = Engine(classifier, 100, told.append)
    for answer in engine.submit(IMAGES[:10], 20):
        answer.result(20)
    engine.close()
    assert sum(len(batch.predictions) for batch in told) == 10
    assert all(len(batch.waited) == len(batch.predictions) and min(batch.waited) >= 0 for batch in told)
    assert all(batch.seconds["infer"] > 0 for batch in told)

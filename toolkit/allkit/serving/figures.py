"""The figures of a server for Prometheus; no image, name or path is in them."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from allkit.serving.engine import Batch

# Seconds. An image takes a millisecond in a small network, and seconds in a queue.
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Figures:
    """What a server counts. classes: of the model.

    The shares of each label, of uncertain and of unfamiliar images tell when the images have become others than those
    that the model knows.
    """

    def __init__(self, classes: Sequence[str]):
        self._registry = CollectorRegistry()
        common = {"registry": self._registry, "namespace": "allkit"}
        self._requests = Counter("requests", "Requests by route and status.", ["route", "status"], **common)
        self._seconds = Histogram("request_seconds", "From request to answer.", ["route"], buckets=_BUCKETS, **common)
        labels = Counter("images", "Classified images by label.", ["label"], **common)
        self._uncertain = Counter("uncertain_images", "Images for which not exactly one class is likely.", **common)
        self._unfamiliar = Counter("unfamiliar_images", "Images unlike those of the training.", **common)
        self._unreadable = Counter("unreadable_images", "Images that could not be read.", **common)
        stages = Histogram(
            "stage_seconds", "An image in the queue, and a batch in each stage.", ["stage"], buckets=_BUCKETS, **common
        )
        self._batches = Histogram("batch_images", "Images of a run.", buckets=(1, 2, 4, 8, 16, 32, 64), **common)
        self._waiting = Gauge("waiting_images", "Images in the queue.", **common)
        # Looked up once: that takes longer than counting. And from the beginning, so that a rate can be computed of the
        # first one.
        self._of_label = {name: labels.labels(name) for name in classes}
        self._queue = stages.labels("queue")
        self._of_stage = {name: stages.labels(name) for name in ("read", "decode", "resize", "infer")}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, batch: Batch) -> None:
        """Count the images of a batch, in the thread of its worker."""
        for seconds in batch.waited:
            self._queue.observe(seconds)
        for stage, histogram in self._of_stage.items():
            histogram.observe(batch.seconds[stage])
        self._batches.observe(len(batch.predictions))
        for prediction in batch.predictions:
            if prediction.error is not None:
                self._unreadable.inc()
                continue
            self._of_label[prediction.label].inc()
            if prediction.uncertain:
                self._uncertain.inc()
            if prediction.unfamiliar:
                self._unfamiliar.inc()

    def text(self, waiting: int) -> bytes:
        """All figures in the format of Prometheus. waiting: images in the queue."""
        self._waiting.set(waiting)
        return generate_latest(self._registry)

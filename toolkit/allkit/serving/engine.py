"""Many callers, one session: images wait in a bounded queue, and worker threads take what waits.

Nothing is delayed for the sake of a batch. A worker that is free takes its share of what waits, up to the batch size of
the classifier's plan; so a single image is answered at once, and under load the batches grow by themselves.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np

from allkit.errors import AllkitError
from allkit.runtime.classifier import Classifier, Prediction

# A worker that takes longer to end hangs; it is a daemon and does not keep the process.
_LONGEST_WAIT_S = 10.0


class Overloaded(AllkitError):
    """The queue is full."""


class Late(AllkitError):
    """No worker was free before the deadline."""


@dataclass(frozen=True)
class Batch:
    """What a worker has done. waited: seconds that each image was in the queue. seconds: of each stage, as in
    `runtime.profile.STAGES`."""

    predictions: Sequence[Prediction]
    waited: Sequence[float]
    seconds: dict[str, float]


@dataclass(eq=False)
class _Order:
    """An image, whether its heat map is wanted, when it came and until when it is of use, on the monotonic clock."""

    source: bytes | np.ndarray
    heatmap: bool
    since: float
    deadline: float
    answer: Future[Prediction] = field(default_factory=Future)


class Engine:
    """A classifier behind a queue, to be used by any number of threads.

    Its workers, as many as the classifier's plan has, share its session. most_waiting: images in the queue, beyond
    which `submit` refuses more. watch: told of each batch, in the worker's thread.
    """

    def __init__(self, classifier: Classifier, most_waiting: int, watch: Callable[[Batch], None] = lambda batch: None):
        self._classifier, self._most_waiting, self._watch = classifier, most_waiting, watch
        self._waiting: deque[_Order] = deque()
        self._changed = threading.Condition()
        self._closing = False
        count = classifier.plan.workers
        self._workers = [threading.Thread(target=self._work, name=f"engine_{i}", daemon=True) for i in range(count)]
        for worker in self._workers:
            worker.start()

    @property
    def waiting(self) -> int:
        """Images in the queue."""
        return len(self._waiting)

    def submit(
        self, sources: Sequence[bytes | np.ndarray], seconds: float, heatmap: bool = False
    ) -> list[Future[Prediction]]:
        """Put images into the queue, all or none; one future for each, which may be cancelled while it waits.

        sources: encoded images, or uint8 RGB arrays (H, W, 3). seconds: until the deadline, after which no worker takes
        them and the future raises `Late`. heatmap: whether predictions have maps. Raises `Overloaded` where the queue
        has no room for them, or the engine is closing.
        """
        now = time.monotonic()
        orders = [_Order(source, heatmap, now, now + seconds) for source in sources]
        with self._changed:
            if self._closing or len(self._waiting) + len(orders) > self._most_waiting:
                raise Overloaded("too much to do at the moment: try again in a moment")
            self._waiting.extend(orders)
            self._changed.notify(len(orders))
        return [order.answer for order in orders]

    def close(self) -> None:
        """Refuse new images, answer those in the queue, and end the workers. A worker that hangs is not awaited."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        end = time.monotonic() + _LONGEST_WAIT_S
        for worker in self._workers:
            worker.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        # Views of one session: each has a profile of its own, and divides no work further.
        views = {}
        for heatmaps in (False, True):
            view = views[heatmaps] = copy.copy(self._classifier)
            view.plan, view.heatmaps = replace(view.plan, workers=1), heatmaps
        while orders := self._take():
            self._answer(views[orders[0].heatmap], orders)

    def _take(self) -> list[_Order]:
        """The next batch, all with or all without heat maps; empty when the engine is closed and nothing is left."""
        with self._changed:
            while True:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return []
                # Its share: the other workers may be free as well.
                share = -(-len(self._waiting) // len(self._workers))
                orders = []
                while self._waiting and len(orders) < min(share, self._classifier.plan.batch_size):
                    if orders and self._waiting[0].heatmap != orders[0].heatmap:
                        break
                    order = self._waiting.popleft()
                    # False where it was cancelled.
                    if not order.answer.set_running_or_notify_cancel():
                        continue
                    if time.monotonic() > order.deadline:
                        order.answer.set_exception(Late("no core was free in time: try again in a moment"))
                        continue
                    orders.append(order)
                if orders:
                    return orders

    def _answer(self, classify: Classifier, orders: Sequence[_Order]) -> None:
        taken = time.monotonic()
        try:
            predictions = list(classify([order.source for order in orders]))
        except BaseException as error:
            for order in orders:
                order.answer.set_exception(error)
            return
        for order, prediction in zip(orders, predictions, strict=True):
            order.answer.set_result(prediction)
        (seconds,) = classify.profile.by_thread().values()
        self._watch(Batch(predictions, [taken - order.since for order in orders], seconds))

"""Parallel batches: each worker thread reads, decodes, resizes and infers; results come back in order.

OpenCV and onnxruntime release the interpreter lock, so the cores are busy as long as there are batches, and no stage
waits for another. A fixed number of batches is in memory, however many images there are.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, starmap
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.runtime.plan import Plan
from allkit.runtime.profile import Profile
from allkit.runtime.workers import Task, Workers

Source = Path | str | bytes | np.ndarray
Result = TypeVar("Result")
Final = TypeVar("Final")
Load = Callable[[Source, Callable[[str], None], int], np.ndarray]


class Results(Iterator[Final]):
    """Results in the order of their sources.

    The worker threads end with the last result. If iteration stops earlier, `close` ends and joins them; an exception
    or garbage collection ends them without waiting, each after its current image or run of the model.
    """

    def __init__(self, results: Generator[Final, None, None], workers: Workers):
        self._results, self._workers = results, workers

    def __next__(self) -> Final:
        try:
            return next(self._results)
        except StopIteration:
            self._workers.join()
            raise

    def close(self) -> None:
        """End the iteration and the worker threads. A run of the model that takes longer than 5 s is not awaited."""
        self._results.close()
        self._workers.join()


def run_in_batches(
    sources: Iterable[Source],
    pixels: PixelPath,
    infer: Callable[[np.ndarray], Iterable[Result]],
    plan: Plan,
    profile: Profile | None = None,
    buffer: Callable[[int], np.ndarray] | None = None,
    load: Load | None = None,
    finish: Callable[[Result | AllkitError], Final] = lambda result: result,
) -> Results[Final]:
    """Yield one result per source, in order: one of `infer`'s, or the error that kept the source from being read.

    infer: uint8 (n, S, S, 3) to n results, 1 <= n <= plan.batch_size; called in plan.workers threads, or in the
    caller's if one worker is enough, with an array that is reused afterwards. A known number of sources is distributed
    so that every worker has some. At most plan.workers + 1 batches of sources are read ahead. An exception of the
    iterable itself, or of `infer`, ends the iteration. profile: collects the time of each stage. buffer: allocates the
    array of a worker, uint8 (n, S, S, 3), if ordinary memory is not the best. load: replaces `pixels.load` and also
    takes the number of the source. finish: converts each result, in order, in the consuming thread.
    """
    profile = profile or Profile()
    count, size = plan.workers, plan.batch_size
    if isinstance(sources, Sized):
        count = max(1, min(count, len(sources)))
        size = max(1, min(size, -(-len(sources) // count)))
    buffer = buffer or (lambda length: np.empty((length, pixels.size_px, pixels.size_px, 3), np.uint8))
    load = load or (lambda source, lap, number: pixels.load(source, lap))
    workers = Workers(count, "worker")
    stages = _Stages(load, infer, partial(buffer, size), profile, workers)

    def finished() -> Generator[Final, None, None]:
        batches = _numbered(sources, size)
        try:
            # For a single image, a thread would cost more than reading it.
            for results in starmap(stages.run, batches) if count == 1 else stages.side_by_side(batches, count):
                for result in results:
                    profile.start()
                    final = finish(result)
                    profile.lap("post")
                    yield final
                    # The time the consumer spent.
                    profile.lap("write")
        finally:
            # This may run in the garbage collector, so it must not wait.
            workers.stop()

    return Results(finished(), workers)


@dataclass(frozen=True)
class _Stages(Generic[Result]):
    """What a worker does with a batch. make_buffer: its array, uint8 (n, S, S, 3)."""

    load: Load
    infer: Callable[[np.ndarray], Iterable[Result]]
    make_buffer: Callable[[], np.ndarray]
    profile: Profile
    workers: Workers
    buffers: threading.local = field(default_factory=threading.local)

    def run(self, first: int, batch: Sequence[Source]) -> list[Result | AllkitError]:
        """A result or an error for each source of a batch, the first of which has the number `first`."""
        if not hasattr(self.buffers, "pixels"):
            self.buffers.pixels = self.make_buffer()
        pixels, errors = self.buffers.pixels, {}
        self.profile.start()
        for place, source in enumerate(batch):
            if self.workers.stopped:
                return []
            try:
                pixels[place - len(errors)] = self.load(source, self.profile.lap, first + place)
            except AllkitError as error:
                errors[place] = error
        read = len(batch) - len(errors)
        rows = iter(self.infer(pixels[:read]) if read else ())
        self.profile.lap("infer")
        return [errors[place] if place in errors else next(rows) for place in range(len(batch))]

    def side_by_side(
        self, batches: Iterator[tuple[int, list[Source]]], count: int
    ) -> Iterator[list[Result | AllkitError]]:
        """The results of each batch, in order, with `count` workers at work."""
        ahead: deque[Task] = deque()
        while True:
            new = islice(batches, count + 1 - len(ahead))
            ahead.extend(self.workers.submit(partial(self.run, *batch)) for batch in new)
            if not ahead:
                return
            self.profile.start()
            results = ahead.popleft().result()
            self.profile.lap("wait")
            yield results


def _numbered(sources: Iterable[Source], size: int) -> Iterator[tuple[int, list[Source]]]:
    """Batches of up to `size` sources, each with the number of its first."""
    waiting, first = iter(sources), 0
    while batch := [_own(source) for source in islice(waiting, size)]:
        yield first, batch
        first += len(batch)


def _own(source: Source) -> Source:
    # A camera loop may overwrite the array before a worker gets to it.
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    return source.copy() if isinstance(source, np.ndarray) else source

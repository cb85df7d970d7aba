"""Whole batches side by side: read, decode, resize and infer in the same thread, hand back in order.

Each worker takes a batch through all stages. OpenCV and onnxruntime let go of the interpreter lock, so the cores are
busy as long as there are batches, and no stage waits for another. What is in memory is a fixed number of batches,
however many images there are.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from allkit.errors import AllkitError
from allkit.images import PixelPath
from allkit.runtime.plan import Plan
from allkit.runtime.profile import Profile

Source = Path | str | bytes | np.ndarray
Result = TypeVar("Result")


def run_in_batches(
    sources: Iterable[Source],
    pixels: PixelPath,
    infer: Callable[[np.ndarray], Iterable[Result]],
    plan: Plan,
    profile: Profile | None = None,
    buffer: Callable[[int], np.ndarray] | None = None,
    load: Callable[[Source, Callable[[str], None], int], np.ndarray] | None = None,
) -> Iterator[Result | AllkitError]:
    """One result a source, in order: one of `infer`'s, or the error that kept the source from being read.

    infer: uint8 (n, S, S, 3) to n results, 1 <= n <= plan.batch_size; called by plan.workers threads at a time, or by
    the caller's own where one worker is enough, with an array that is filled again afterwards. Sources of known number
    are dealt out so that every worker has some. At most plan.workers + 1 batches of sources are read ahead of the
    results taken. An exception of the iterable itself, or of `infer`, ends the iteration. profile: takes the time of
    each stage. buffer: makes the array of a worker, uint8 (n, S, S, 3), where ordinary memory is not the best.
    load: called in place of `pixels.load`, with the number of the source as well. When the iterator is closed the
    workers stop after the image that they are at.
    """
    profile = profile or Profile()
    workers, size = plan.workers, plan.batch_size
    if isinstance(sources, Sized):
        workers = max(1, min(workers, len(sources)))
        size = max(1, min(size, -(-len(sources) // workers)))
    buffer = buffer or (lambda count: np.empty((count, pixels.size_px, pixels.size_px, 3), np.uint8))
    load = load or (lambda source, lap, number: pixels.load(source, lap))
    buffers = threading.local()
    closed = threading.Event()

    def run(first: int, batch: Sequence[Source]) -> list[Result | AllkitError]:
        if not hasattr(buffers, "pixels"):
            buffers.pixels = buffer(size)
        errors: dict[int, AllkitError] = {}
        profile.start()
        for place, source in enumerate(batch):
            if closed.is_set():
                return []
            try:
                buffers.pixels[place - len(errors)] = load(source, profile.lap, first + place)
            except AllkitError as error:
                errors[place] = error
        count = len(batch) - len(errors)
        rows = iter(infer(buffers.pixels[:count]) if count else ())
        profile.lap("infer")
        return [errors[place] if place in errors else next(rows) for place in range(len(batch))]

    waiting = iter(sources)
    taken = 0
    if workers == 1:
        # A thread of its own would cost a single image more than reading it does.
        while batch := [_own(source) for source in islice(waiting, size)]:
            yield from run(taken, batch)
            taken += len(batch)
        return
    ahead: deque[Future] = deque()
    pool = ThreadPoolExecutor(workers, "worker")
    try:
        while True:
            while len(ahead) <= workers and (batch := [_own(source) for source in islice(waiting, size)]):
                ahead.append(pool.submit(run, taken, batch))
                taken += len(batch)
            if not ahead:
                return
            profile.start()
            results = ahead.popleft().result()
            profile.lap("wait")
            yield from results
    finally:
        closed.set()
        pool.shutdown(cancel_futures=True)


def _own(source: Source) -> Source:
    # A camera loop may fill the same array again before a worker gets to it.
    return source.copy() if isinstance(source, np.ndarray) else source

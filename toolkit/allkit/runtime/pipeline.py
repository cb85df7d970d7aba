"""Decode ahead, infer in batches, hand back in order.

Worker threads decode and resize (OpenCV lets go of the interpreter lock) while the caller's thread
runs the model, so neither waits for the other. The look-ahead is two batches, one in the model and
one being decoded: an endless source is read no faster than its results are taken.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from allkit.errors import AllkitError
from allkit.images import PixelPath, stack

Source = Path | str | bytes | np.ndarray
Result = TypeVar("Result")


def run_in_batches(
    sources: Iterable[Source],
    pixels: PixelPath,
    infer: Callable[[np.ndarray], Iterable[Result]],
    batch_size: int,
    workers: int | None = None,
) -> Iterator[Result | AllkitError]:
    """One result a source, in order: one of `infer`'s, or the error that kept the source from being read.

    infer: uint8 (n, S, S, 3) to n results, 1 <= n <= batch_size; called in the caller's thread.
    At most 2 * batch_size sources are read ahead of the results taken. workers: decoding threads, by
    default one a processor. An exception of the iterable itself, or of `infer`, ends the iteration.
    """

    def load(source: Source) -> np.ndarray | AllkitError:
        try:
            return pixels.load(source)
        except AllkitError as error:
            return error

    sources = iter(sources)
    ahead: deque[Future] = deque()
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        while True:
            for source in islice(sources, 2 * batch_size - len(ahead)):
                # A camera loop may fill the same array again before a worker gets to it.
                ahead.append(pool.submit(load, source.copy() if isinstance(source, np.ndarray) else source))
            if not ahead:
                return
            loaded = [ahead.popleft().result() for _ in range(min(batch_size, len(ahead)))]
            images = [image for image in loaded if isinstance(image, np.ndarray)]
            rows = iter(infer(stack(images, pixels.size_px)) if images else ())
            for image in loaded:
                yield next(rows) if isinstance(image, np.ndarray) else image
    finally:
        pool.shutdown(cancel_futures=True)

"""Work whose results are asked for in order, done by threads a few items ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given, Made = TypeVar("Given"), TypeVar("Made")

# A store answers many requests at once, each of them slowly.
_THREADS, _AHEAD = 16, 64


def ahead(
    work: Callable[[Given], Made], items: Iterable[Given], threads: int = _THREADS, most: int = _AHEAD
) -> Iterator[Made]:
    """`map` by threads, in order. most: items that are at work, or done and not taken, while one is in use."""
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

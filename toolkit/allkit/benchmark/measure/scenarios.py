"""How queries are issued, in the manner of MLPerf Inference.

Single: the next query is due when the one before is done, and its latency counts from then. Offline: all images are
there from the start, and what counts is images a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def single(query: Callable[[int], object], first: int, least_seconds: float, least_queries: int) -> list[float]:
    """Seconds of each query, at least so many for at least so long. query: takes its number, counted from `first`."""
    taken: list[float] = []
    begin = due = time.perf_counter()
    while len(taken) < least_queries or due - begin < least_seconds:
        query(first + len(taken))
        done = time.perf_counter()
        taken.append(done - due)
        due = done
    return taken


def offline(run: Callable[[], int], least_seconds: float) -> list[float]:
    """Images a second of each pass, for at least so long and one pass. run: one pass over all images, their number."""
    rates: list[float] = []
    begin = now = time.perf_counter()
    while not rates or now - begin < least_seconds:
        before, count = now, run()
        now = time.perf_counter()
        rates.append(count / (now - before))
    return rates

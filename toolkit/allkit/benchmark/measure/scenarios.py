"""How queries are issued, as in MLPerf Inference.

Single stream: the next query is due when the previous one is done, and its latency counts from then. Offline: all
images are available from the start; measured are images per second.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def single(query: Callable[[int], object], first: int, least_seconds: float, least_queries: int) -> list[float]:
    """Seconds of each query, for at least so many queries and seconds. query: takes its number, from `first` on."""
    taken: list[float] = []
    begin = due = time.perf_counter()
    while len(taken) < least_queries or due - begin < least_seconds:
        query(first + len(taken))
        done = time.perf_counter()
        taken.append(done - due)
        due = done
    return taken


def offline(run: Callable[[], int], least_seconds: float) -> list[float]:
    """Images per second of each pass, for at least `least_seconds`. run: makes a pass, returns its number of images."""
    rates: list[float] = []
    begin = now = time.perf_counter()
    while not rates or now - begin < least_seconds:
        before, count = now, run()
        now = time.perf_counter()
        rates.append(count / (now - before))
    return rates

"""How queries are issued, as in MLPerf Inference.

Single stream: each query is issued when the previous one has finished, and its latency counts from then. Offline: all
images are available from the start, and images per second are measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def single(query: Callable[[int], object], first: int, least_seconds: float, least_queries: int) -> list[float]:
    """Latencies in seconds of at least `least_queries` queries in `least_seconds`; query takes its number."""
    taken: list[float] = []
    begin = due = time.perf_counter()
    while len(taken) < least_queries or due - begin < least_seconds:
        query(first + len(taken))
        done = time.perf_counter()
        taken.append(done - due)
        due = done
    return taken


def offline(run: Callable[[], int], least_seconds: float) -> list[float]:
    """Images per second of each pass, for at least `least_seconds`; run makes a pass and returns its image count."""
    rates: list[float] = []
    begin = now = time.perf_counter()
    while not rates or now - begin < least_seconds:
        before, count = now, run()
        now = time.perf_counter()
        rates.append(count / (now - before))
    return rates

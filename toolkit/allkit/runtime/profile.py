"""Where the time of a classification goes."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

# Stages of the workers, then of the consuming thread.
STAGES = ("read", "decode", "resize", "infer", "post", "wait", "write")


class Profile:
    """Seconds by thread and stage. Each thread calls `start` once and `lap` at the end of each stage."""

    def __init__(self):
        self._seconds: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(STAGES, 0.0))
        self._local = threading.local()

    def start(self) -> None:
        """Begin a stage in this thread."""
        self._local.since = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage in this thread, and begin the next."""
        now = time.perf_counter()
        self._seconds[threading.current_thread().name][stage] += now - self._local.since
        self._local.since = now

    def by_thread(self) -> dict[str, dict[str, float]]:
        """Seconds of each stage by thread, in the order of their first lap."""
        return {thread: dict(stages) for thread, stages in self._seconds.items()}

"""Threads that work as long as somebody takes their results, and never keep anybody waiting for good.

An iterator that nobody finished is ended by the garbage collector, in whatever thread that happens to run, between any
two instructions: there a thread must not be waited for, nor a lock be taken that the interrupted code may hold, as
`ThreadPoolExecutor.shutdown` does both. `Workers.stop` sets a flag and puts into a queue that is made for finalisers.
The executor also joins its threads at exit however long they take. These are daemons; but one that comes back from
OpenCV or onnxruntime when the interpreter is gone aborts the process, so exit waits for them, for a limited time.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Generic, TypeVar

Result = TypeVar("Result")

# Enough for a batch of any model that ships; longer than that is a call that hangs.
_LONGEST_WAIT_S = 5.0


class Task(Generic[Result]):
    """A call that a worker makes, and its outcome."""

    def __init__(self, call: Callable[[], Result]):
        self._call = call
        self._outcome: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

    def run(self) -> None:
        """Make the call; whatever it raises is raised by `result`."""
        try:
            self._outcome.put((self._call(), None))
        except BaseException as error:
            self._outcome.put((None, error))

    def result(self) -> Result:
        """What the call returned, once it has; to be asked once, and not of workers that were told to stop."""
        value, error = self._outcome.get()
        if error is None:
            return value
        try:
            raise error
        finally:
            # The traceback refers to this frame: a reference cycle that would keep what the call held.
            del error


class Workers:
    """Up to `count` threads, started as tasks come in, that take tasks in their order.

    stopped: set by `stop`; a long call looks at it and returns early.
    """

    def __init__(self, count: int, name: str):
        self.stopped = False
        self._count, self._name = count, name
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._threads: list[_Worker] = []

    def submit(self, call: Callable[[], Result]) -> Task[Result]:
        """Have a call made; to be used by one thread at a time."""
        task = Task(call)
        self._tasks.put(task)
        if len(self._threads) < self._count:
            self._threads.append(_Worker(self, f"{self._name}_{len(self._threads)}"))
            self._threads[-1].start()
        return task

    def stop(self) -> None:
        """Have every thread end with the call that it is making. Waits for nothing: may be called by a finaliser."""
        self.stopped = True
        self._tasks.put(None)

    def join(self) -> None:
        """Wait for threads that were told to stop, up to 5 s: one that hangs is left to itself."""
        _join(self._threads)

    def work(self) -> None:
        """What each thread does."""
        while not self.stopped:
            task = self._tasks.get()
            if task is None:
                break
            task.run()
            # Or it would keep its batch until the next one comes.
            del task
        # One was put for all of them.
        self._tasks.put(None)


class _Worker(threading.Thread):
    def __init__(self, workers: Workers, name: str):
        super().__init__(name=name, daemon=True)
        self.workers = workers

    def run(self) -> None:
        self.workers.work()


def _join(threads: Iterable[threading.Thread]) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT_S
    for thread in threads:
        # One that is being started, when a signal comes in between, cannot be joined.
        if thread is not threading.current_thread() and thread.is_alive():
            thread.join(max(0.0, deadline - time.monotonic()))


@atexit.register
def _end_all() -> None:
    threads = [thread for thread in threading.enumerate() if isinstance(thread, _Worker)]
    for thread in threads:
        thread.workers.stop()
    _join(threads)

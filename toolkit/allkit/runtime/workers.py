"""Worker threads that run while somebody takes their results, and never block anybody indefinitely.

An unfinished iterator may be ended by the garbage collector, in any thread and between any two instructions. There it
must not wait for a thread, nor take a lock that the interrupted code may hold; `ThreadPoolExecutor.shutdown` does both.
`Workers.stop` only sets a flag and uses a queue made for finalisers. The executor also joins its threads at exit,
however long they take. These are daemon threads; but a daemon that returns from OpenCV or onnxruntime after the
interpreter has gone aborts the process, so exit waits for them for a limited time.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Generic, TypeVar

Result = TypeVar("Result")

# Enough for a batch of any shipped model; a longer call hangs.
_LONGEST_WAIT_S = 5.0


class Task(Generic[Result]):
    """A call for a worker, and its outcome."""

    def __init__(self, call: Callable[[], Result]):
        self._call = call
        self._outcome: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

    def run(self) -> None:
        """Make the call; what it raises is raised by `result`."""
        try:
            self._outcome.put((self._call(), None))
        except BaseException as error:
            self._outcome.put((None, error))

    def result(self) -> Result:
        """Wait for the call and return its value; call it once, and not after the workers were told to stop."""
        value, error = self._outcome.get()
        if error is None:
            return value
        try:
            raise error
        finally:
            # The traceback refers to this frame: a reference cycle that would keep the call's objects alive.
            del error


class Workers:
    """Up to `count` threads, started as needed, that take tasks in order.

    stopped: set by `stop`; long calls check it and return early.
    """

    def __init__(self, count: int, name: str):
        self.stopped = False
        self._count, self._name = count, name
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._threads: list[_Worker] = []

    def submit(self, call: Callable[[], Result]) -> Task[Result]:
        """Submit a call; to be used by one thread at a time."""
        task = Task(call)
        self._tasks.put(task)
        if len(self._threads) < self._count:
            self._threads.append(_Worker(self, f"{self._name}_{len(self._threads)}"))
            self._threads[-1].start()
        return task

    def stop(self) -> None:
        """Tell every thread to end after its current call. Does not wait, so a finaliser may call it."""
        self.stopped = True
        self._tasks.put(None)

    def join(self) -> None:
        """Wait up to 5 s for threads that were told to stop; one that hangs is abandoned."""
        _join(self._threads)

    def work(self) -> None:
        """The loop of each thread."""
        while not self.stopped:
            task = self._tasks.get()
            if task is None:
                break
            task.run()
            # Otherwise the thread would keep its batch until the next one comes.
            del task
        # One stop item serves all threads.
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
        # A thread that is just being started, when a signal arrives, cannot be joined.
        if thread is not threading.current_thread() and thread.is_alive():
            thread.join(max(0.0, deadline - time.monotonic()))


@atexit.register
def _end_all() -> None:
    threads = [thread for thread in threading.enumerate() if isinstance(thread, _Worker)]
    for thread in threads:
        thread.workers.stop()
    _join(threads)

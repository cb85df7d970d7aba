"""Ctrl-C that is answered at once, even while a library computes."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread


@contextmanager
def exits_at_once(on_interrupt: Callable[[], None]) -> Iterator[None]:
    """Within it Ctrl-C calls `on_interrupt`, in another thread, and ends the process with exit code 130.

    Python delivers a signal between two bytecodes of the main thread, and one step of a wide network is a single call
    of up to a minute. Only for work that may be killed at any moment. Must be entered in the main thread.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def wait() -> None:
        with reader:
            # Each signal is a byte with its number; the other end is closed when the work is done.
            while number := reader.recv(1):
                if number[0] == signal.SIGINT:
                    on_interrupt()
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(130)

    Thread(target=wait, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGINT, handler)
        writer.close()

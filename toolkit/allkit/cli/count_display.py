"""Progress on stderr of work whose end is not known: how many images are done, and how fast."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from allkit.cli.terminal import LOG_SECONDS, say

# How often the line on a terminal changes.
_SHOWN_SECONDS = 0.5


@contextmanager
def counting() -> Iterator[Callable[[int], None]]:
    """What is told how many images are done: a line that changes on a terminal, one a minute in a log."""
    begin = last = time.monotonic()
    terminal = sys.stderr.isatty()

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done and now - last >= (_SHOWN_SECONDS if terminal else LOG_SECONDS):
            last = now
            show(f"{done:,} image(s), {done / (now - begin):,.1f} images/s")

    def show(line: str) -> None:
        status.update(line) if status else say(line, err=True)

    if not terminal:
        status = None
        yield tell
        return
    from allkit.cli.console import stderr

    with stderr.status("starting") as status:
        yield tell

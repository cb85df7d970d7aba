"""Progress reports of long work to its caller."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count


class Progress:
    """Does nothing; override the methods of interest."""

    def update(self, what: str, done: float) -> None:
        """A share `done`, from 0 to 1, of the work named `what` is finished."""

    def note(self, text: str) -> None:
        """A remark or warning about the work, as a sentence."""


def counted(progress: Progress, what: str, total: int) -> Callable[[], None]:
    """Return a function to call after each of `total` items of work."""
    done = count(1)
    return lambda: progress.update(what, next(done) / total)

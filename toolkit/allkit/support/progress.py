"""What long work reports while it runs, to whoever started it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count


class Progress:
    """Every method does nothing: override those that are of interest."""

    def update(self, what: str, done: float) -> None:
        """The share `done`, from 0 to 1, of the work named `what` is done."""

    def note(self, text: str) -> None:
        """A remark or a warning about the work, as a sentence."""


def counted(progress: Progress, what: str, total: int) -> Callable[[], None]:
    """What to call after each of `total` items of work."""
    done = count(1)
    return lambda: progress.update(what, next(done) / total)

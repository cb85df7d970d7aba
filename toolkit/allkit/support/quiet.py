"""Libraries that write to stderr while they load, before they read any setting."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what libraries write to stderr, below Python, and show it only if the body raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    # Where there is no folder for temporary files Linux has memory for them.
    with os.fdopen(os.memfd_create("stderr"), "w+b") if hasattr(os, "memfd_create") else TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)

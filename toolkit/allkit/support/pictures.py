"""Matplotlib, where its own folder may be missing.

It keeps what it knows of the fonts in a folder of the user. Where that cannot be written, in a container for instance,
it makes a temporary one, removes it at the end, and warns on stderr; for a picture that makes no difference.
"""

from __future__ import annotations

import logging

from allkit.errors import AllkitError

_logger = logging.getLogger("matplotlib")
_level = _logger.level
_logger.setLevel(logging.ERROR)
try:
    from matplotlib.figure import Figure
except OSError as error:
    raise AllkitError("Matplotlib has no working folder: set MPLCONFIGDIR to a writable folder") from error
finally:
    _logger.setLevel(_level)

__all__ = ["Figure"]

"""Which combinations of file, machine, request and version of onnxruntime have given their known answers here.

Remembered in `verdicts.json` of the cache folder, so that only the first start pays for the check; where there is no
cache every start does.
"""

from __future__ import annotations

import onnxruntime

from allkit.model.file import ModelFile
from allkit.runtime.machine import identity
from allkit.runtime.providers import Request
from allkit.support.files import read_cache, write_cache

_NAME = "verdicts.json"
# More than anybody has models; what was not asked for the longest goes first.
_MOST = 500


def recall(file: ModelFile, request: Request) -> str | None:
    """What was remembered of a combination, None where it was not met before or did not pass."""
    value = read_cache(_NAME).get(_key(file, request))
    return value if isinstance(value, str) else None


def remember(file: ModelFile, request: Request, value: str) -> None:
    """Keep what was found."""
    record = read_cache(_NAME)
    record.pop(_key(file, request), None)
    write_cache(_NAME, dict([*record.items(), (_key(file, request), value)][-_MOST:]))


def _key(file: ModelFile, request: Request) -> str:
    return f"{file.identity} on {identity()}, {request}, onnxruntime {onnxruntime.__version__}"

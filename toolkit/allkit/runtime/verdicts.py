"""Which combinations of file, machine, request and onnxruntime version have given their known answers.

They are remembered in `verdicts.json` of the cache folder, so that only the first start takes the check; without a
cache, every start does.
"""

from __future__ import annotations

import onnxruntime

from allkit.model.file import ModelFile
from allkit.runtime.machine import identity
from allkit.runtime.providers import Request
from allkit.support.files import read_cache, write_cache

_NAME = "verdicts.json"
# More models than anybody has; the least recently used is dropped first.
_MOST = 500


def recall(file: ModelFile, request: Request) -> str | None:
    """What was remembered of a combination, None if it is new or did not pass."""
    value = read_cache(_NAME).get(_key(file, request))
    return value if isinstance(value, str) else None


def remember(file: ModelFile, request: Request, value: str) -> None:
    """Remember the result of a check."""
    record = read_cache(_NAME)
    record.pop(_key(file, request), None)
    write_cache(_NAME, dict([*record.items(), (_key(file, request), value)][-_MOST:]))


def _key(file: ModelFile, request: Request) -> str:
    return f"{file.identity} on {identity()}, {request}, onnxruntime {onnxruntime.__version__}"

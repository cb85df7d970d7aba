"""JSON from disk as typed values: whatever does not fit its type is refused with one clear error.

Files are edited, cut short and swapped, so nothing that was read is used before its shape has been checked. The type
says what a file may hold (msgspec checks it: types of fields, bounds in `Annotated[..., Meta(...)]`); code after it can
rely on that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from allkit.errors import AllkitError

Value = TypeVar("Value")

# The longest record that allkit writes, a split of 100,000 images, has some 20 MiB.
_MOST_BYTES = 2**28


def parse_json(data: bytes | str, kind: type[Value], name: object, fix: str) -> Value:
    """A JSON text as a value of a type that msgspec understands: a dataclass, a dict, a list, a union of them.

    name: of what is read, fix: what to do where it does not fit; both go into the AllkitError, with the field at fault.
    Fields that the type does not have are passed over; NaN and infinities are no JSON and are refused.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AllkitError(f"{name} is not readable ({reason}): {fix}") from error


def read_json(path: Path | str, kind: type[Value], fix: str) -> Value:
    """The same from a file; an AllkitError too where it is missing, too large or may not be read."""
    try:
        if Path(path).stat().st_size > _MOST_BYTES:
            raise AllkitError(f"{path} is larger than {_MOST_BYTES // 2**20} MiB: {fix}")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise AllkitError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; {fix}") from error
    return parse_json(data, kind, path, fix)

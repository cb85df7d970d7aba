"""JSON from disk as typed values: whatever does not fit its type is refused with one clear error.

Files are edited, truncated and swapped, so nothing that was read is used before its shape has been checked. The type
says what a file may hold (msgspec checks it: types of fields, bounds in `Annotated[..., Meta(...)]`); code after it can
rely on that.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from allkit.errors import AllkitError, reason

Value = TypeVar("Value")

# The longest record that allkit writes, a split of 100,000 images, has some 20 MiB.
_MOST_BYTES = 2**28


# Kinds of values that several records hold. What is longer or larger is no text or number of allkit's.
Text = Annotated[str, Meta(max_length=10_000)]
# Sums of floats end a little beside 1.
Share = Annotated[float, Meta(ge=0, le=1 + 1e-9)]
Count = Annotated[int, Meta(ge=0, le=2**48)]
Positive = Annotated[float, Meta(gt=0, le=1e15)]
NotNegative = Annotated[float, Meta(ge=0, le=1e15)]


def parse_json(data: bytes | str, kind: type[Value], name: object, fix: str) -> Value:
    """A JSON text as a value of a type that msgspec understands: a dataclass, a dict, a list, a union of them.

    name: of what is read, fix: what to do where it does not fit; both go into the AllkitError, with the field at fault.
    Fields that the type does not have are passed over; NaN and infinities are no JSON and are refused.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError, AllkitError) as error:
        raise _refused(error, name, fix) from error


def read_json(path: Path | str, kind: type[Value], fix: str, name: str | None = None) -> Value:
    """The same from a file; an AllkitError too where it is missing, too large or may not be read.

    name: of the file in messages, its path if None.
    """
    name = str(path) if name is None else name
    try:
        facts = Path(path).stat()
        if not stat.S_ISREG(facts.st_mode):
            raise AllkitError(f"cannot read {name}: it is not a regular file; {fix}")
        if facts.st_size > _MOST_BYTES:
            raise AllkitError(f"{name} is larger than {_MOST_BYTES // 2**20} MiB: {fix}")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise AllkitError(f"cannot read {name}: {reason(error)}; {fix}") from error
    return parse_json(data, kind, name, fix)


def as_kind(value: Any, kind: type[Value], name: object, fix: str, texts: bool = False) -> Value:
    """Plain types as a value of a type, as in `parse_json`. texts: numbers come as texts, as in a CSV file."""
    try:
        return msgspec.convert(value, kind, strict=not texts)
    except (msgspec.ValidationError, RecursionError, AllkitError) as error:
        raise _refused(error, name, fix) from error


def as_plain(value: Any) -> Any:
    """A value that was read as plain types, such as JSON has; fields that are UNSET are left out."""
    return msgspec.to_builtins(value)


def _refused(error: Exception, name: object, fix: str) -> AllkitError:
    words = " ".join(str(error).split()) or type(error).__name__
    return AllkitError(f"{name} is not readable ({words}): {fix}")

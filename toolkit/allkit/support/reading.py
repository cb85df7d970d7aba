"""JSON from disk as typed values: what does not fit its type is refused with one clear error.

Files may be edited, truncated or swapped, so nothing is used before msgspec has checked it against a type: the types of
fields, and bounds in `Annotated[..., Meta(...)]`. The code that follows can rely on them.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from allkit.errors import AllkitError, reason

Value = TypeVar("Value")

# The longest record that allkit writes, a split of 100,000 images, has about 20 MiB.
_MOST_BYTES = 2**28


# Field types of several records, with bounds that allkit's own records stay within.
Text = Annotated[str, Meta(max_length=10_000)]
# Sums of floats may end slightly above 1.
Share = Annotated[float, Meta(ge=0, le=1 + 1e-9)]
Count = Annotated[int, Meta(ge=0, le=2**48)]
Positive = Annotated[float, Meta(gt=0, le=1e15)]
NotNegative = Annotated[float, Meta(ge=0, le=1e15)]


def parse_json(data: bytes | str, kind: type[Value], name: object, fix: str) -> Value:
    """Parse JSON into a type that msgspec supports: a dataclass, a dict, a list, or a union of them.

    name: what is being read; fix: what to do if it does not fit. Both appear in the AllkitError, with the offending
    field. Unknown fields are ignored; NaN and infinities are not JSON and are refused.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError, AllkitError) as error:
        raise _refused(error, name, fix) from error


def read_json(path: Path | str, kind: type[Value], fix: str, name: str | None = None) -> Value:
    """`parse_json` of a file; raises AllkitError also when it is missing, too large or not readable.

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
    """Convert plain types to a type, like `parse_json`. texts: numbers are given as text, as in a CSV file."""
    try:
        return msgspec.convert(value, kind, strict=not texts)
    except (msgspec.ValidationError, RecursionError, AllkitError) as error:
        raise _refused(error, name, fix) from error


def as_plain(value: Any) -> Any:
    """Convert a value back to plain types, as in JSON; UNSET fields are left out."""
    return msgspec.to_builtins(value)


def _refused(error: Exception, name: object, fix: str) -> AllkitError:
    words = " ".join(str(error).split()) or type(error).__name__
    return AllkitError(f"{name} is not readable ({words}): {fix}")

"""Random changes of JSON texts and of bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

TEXTS = (
    "",
    "[/bold]",
    "\x1b[2J",
    "<script>alert(1)</script>",
    "=1+1",
    "a|b\r\nc",
    "../../../b/evil",
    "x" * 10_000,
    "0",
)
VALUES = (None, True, 0, -1, 1e308, -1e308, 5e-324, 10**30, 10**400, [], {}, [[]], "1", float("nan"), float("inf"))


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths to everything inside a JSON value: all members of a short list, some of a long one."""
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value[:6]) if isinstance(value, list) else ()
    for key, inner in members:
        yield from places(inner, (*path, key))


def changed_json(text: str, rng: random.Random) -> str:
    """Change one to three fields."""
    record = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        *above, key = rng.choice([*places(record)] or [("x",)])
        parent = record
        for step in above:
            parent = parent[step]
        value = parent[key]
        # Half of the changes keep the type, because a reader may accept those.
        kind = rng.randrange(8)
        if kind < 4 and isinstance(value, str):
            parent[key] = rng.choice(TEXTS)
        elif kind < 4 and isinstance(value, int | float) and abs(value) < 1e300:
            parent[key] = type(value)(value * rng.choice((0.5, 1, 2, 1e6)) + rng.choice((-1, 0, 1e-3, 1)))
        elif kind < 4 and isinstance(value, list):
            parent[key] = value[1:] if rng.random() < 0.5 else value * rng.choice((0, 2, 30))
        elif kind == 4 and isinstance(parent, dict):
            parent[rng.choice(TEXTS) or "renamed"] = parent.pop(key)
        elif kind == 5:
            parent.pop(key)
        else:
            parent[key] = rng.choice(VALUES)
    return json.dumps(record)


def changed_bytes(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Change bits; cut out, insert or repeat a piece; truncate or empty the file; or use another file's content."""
    mutable = bytearray(data)
    kind = rng.randrange(7)
    place = rng.randrange(max(1, len(data)))
    if kind == 0:
        for _ in range(rng.randint(1, 20)):
            mutable[rng.randrange(len(mutable))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del mutable[place : place + rng.randint(1, 40)]
    elif kind == 2:
        mutable[place:place] = rng.choice(
            (b"\0", b"\r", b"\xff\xfe", b'"', b",", b"[" * 100_000, b"9" * 5000, b"\x1b[2J")
        )
    elif kind == 3:
        mutable = mutable[:place]
    elif kind == 4:
        mutable[place:place] = mutable[place : place + 200]
    elif kind == 5:
        mutable = bytearray(other)
    else:
        mutable = bytearray(rng.randbytes(rng.randrange(300)))
    return bytes(mutable)

r"""CSV files that programs and spreadsheets read back as they were written.

- A field with any kind of line end is quoted. Some versions of Python's `csv` leave a carriage return bare, which
  readers take for the end of a row.
- Spreadsheets evaluate a field that begins with = + - @ (also in full width), a tab or a line end. Paths and foreign
  texts are written so that none does, without loss: a relative path gets `./` in front, which is the same path; any
  other text gets one more apostrophe in front, which `re.sub(r"^'('*[=+\-@\t\r\n＝＋－＠])", r"\1", field)` removes.
  Numbers and all other fields stay as they are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from allkit.errors import AllkitError, reason

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would evaluate a field with this beginning."""
    return bool(_FORMULA.match(text))


def path_field(path: str) -> str:
    """A path as a field: a relative path that looks like a formula gets `./` in front."""
    return f"./{path}" if is_formula(path) else path


def text_field(text: str | None) -> str | None:
    """Any other text as a field: one that looks like a formula gets an apostrophe in front. None stays empty."""
    return f"'{text}" if text and is_formula(text) else text


def write_rows(stream: TextIO, rows: Iterable[Iterable]) -> None:
    """Write rows as lines ending in `\\n`; None is an empty field."""
    csv.writer(_Lines(stream), lineterminator="\r\n").writerows(rows)


def read_rows(path: Path, fix: str) -> list[list[str]]:
    """All rows of a UTF-8 file including the header; AllkitError when it cannot be read or has ragged rows."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.reader(stream, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise AllkitError(f"cannot read {path} ({reason(error)}): {fix}") from error
    if not rows:
        raise AllkitError(f"{path} is empty: {fix}")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise AllkitError(f"row {number} of {path} has {len(row)} fields, not {len(rows[0])}: {fix}")
    return rows


class _Lines:
    """Target of `csv`, which quotes the characters of its line end: it is given both, and one is removed."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.removesuffix("\r\n") + "\n")

r"""CSV files that read back as what was written, in programs and in spreadsheets.

- A field with a line end of any kind is quoted. Python's `csv` leaves a carriage return bare in some versions, and a
  reader then sees two rows.
- Spreadsheets calculate a field that begins with = + - @ (also in full width), a tab or a line end. Paths and texts
  from elsewhere are written so that none does, and so that programs lose nothing: a relative path gets `./` in front,
  which is the same path; any other text gets an apostrophe (one more, where it has some already), which is taken off by
  `re.sub(r"^'('*[=+\-@\t\r\n＝＋－＠])", r"\1", field)`. Numbers, and all that does not begin so, stay as they are.
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
    """Whether a spreadsheet would calculate a field that begins so."""
    return bool(_FORMULA.match(text))


def path_field(path: str) -> str:
    """A path as a field: relative ones that look like a formula get `./` in front."""
    return f"./{path}" if is_formula(path) else path


def text_field(text: str | None) -> str | None:
    """Any other text as a field: one that looks like a formula gets an apostrophe in front. None stays empty."""
    return f"'{text}" if text and is_formula(text) else text


def write_rows(stream: TextIO, rows: Iterable[Iterable]) -> None:
    """Rows as lines that end in `\\n`; None is an empty field."""
    csv.writer(_Lines(stream), lineterminator="\r\n").writerows(rows)


def read_rows(path: Path, fix: str) -> list[list[str]]:
    """All rows of a UTF-8 file, the header too; AllkitError where it cannot be read or has ragged rows."""
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
    """What `csv` writes to. It quotes the characters of its line end, so it is given both, and one is taken off."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.removesuffix("\r\n") + "\n")

"""The patients of images, from a list typed by hand.

Two spellings of one patient could put that patient into both training and test. Names are therefore compared without
case and superfluous spaces, and paths with either separator; contradictions are refused with their line numbers.
"""

from __future__ import annotations

import csv
import posixpath
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from allkit.errors import AllkitError, reason

_COLUMNS = ("path", "patient")


def read_patients(path: Path, images: Sequence[str]) -> list[str]:
    """Return the patient of each image (relative path), from a CSV file with the columns path and patient.

    Raises AllkitError when the file cannot be read, is not such a table, gives two patients for one path, or none for
    an image.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            listed = list(_rows(path, csv.reader(stream)))
    except OSError as error:
        raise AllkitError(f"cannot read {path}: {reason(error)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise AllkitError(f"{path} is not a CSV file: {error}") from error
    patients: dict[str, tuple[int, str, str]] = {}
    for line, image, patient in listed:
        before, _, other = patients.setdefault(_path_key(image), (line, image, patient))
        if _name_key(other) != _name_key(patient):
            raise AllkitError(
                f"{path}, lines {before} and {line}: {image} is of patient {other} and of {patient}: keep the line "
                "that is right"
            )
    if missing := next((image for image in images if _path_key(image) not in patients), None):
        raise AllkitError(f"{path} names no patient for {missing}: add a row for every image")
    return [_name_key(patients[_path_key(image)][2]) for image in images]


def _rows(path: Path, rows: Iterator[list[str]]) -> Iterator[tuple[int, str, str]]:
    """Line number, path and patient of every row that has both."""
    header = [_name_key(name) for name in next(rows, [])]
    for name in _COLUMNS:
        if header.count(name) != 1:
            found = "no column" if name not in header else f"{header.count(name)} columns"
            raise AllkitError(f"{path} needs the columns path,patient once each: it has {found} {name}")
    places = [header.index(name) for name in _COLUMNS]
    for row in rows:
        if any(cell.strip() for cell in row[len(header) :]):
            raise AllkitError(
                f"{path}, line {rows.line_num}: more cells than the header has columns: put names with commas into "
                "quotation marks"
            )
        cells = [row[place].strip() if place < len(row) else "" for place in places]
        if all(cells):
            yield rows.line_num, *cells


def _path_key(path: str) -> str:
    return posixpath.normpath(_name_key(path).replace("\\", "/"))


def _name_key(name: str) -> str:
    """A name for comparison: normalised Unicode, without case, outer spaces and repeated spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).replace("\ufeff", "").casefold().split())

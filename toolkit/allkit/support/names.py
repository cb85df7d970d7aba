"""Names that are used as more than text: class names as columns, image names as paths."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath, PureWindowsPath

from allkit.errors import AllkitError
from allkit.support.csvtext import is_formula
from allkit.support.text import unprintable, visible

# Columns of the results of `classify` and of a training, besides one per class.
COLUMNS = (
    "path",
    "label",
    "truth",
    "confidence",
    "error",
    "prediction_set",
    "uncertain",
    "unfamiliar",
    "trained_on",
    "warning",
)
_LONGEST = 200


def check_class_names(names: Sequence[str]) -> None:
    """Raise AllkitError if class names are ambiguous or cannot be columns of a table.

    Refused are fewer than two names; a name that is empty, longer than 200 characters, or a column name; one with
    control characters, bytes that are not UTF-8, or `/`, `\\` or `|` (prediction sets are written `A|B`); one that a
    spreadsheet would take for a formula; and two names that differ only in case or Unicode normalisation, which file
    systems and spreadsheets treat as one.
    """
    if len(names) < 2:
        raise AllkitError(f"{len(names)} class name(s): a classifier needs two or more")
    seen: dict[str, str] = {}
    for name in names:
        if reason := _refusal(name):
            raise AllkitError(f"a class cannot be called {_quoted(name)}, {reason}: rename it")
        if (other := seen.setdefault(_key(name), name)) != name:
            raise AllkitError(
                f"the classes {_quoted(other)} and {_quoted(name)} differ only in case or Unicode normalisation, which "
                "file systems and spreadsheets treat as one name: rename one, or merge them"
            )
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise AllkitError(f"the class {_quoted(twice)} is named twice: rename one")


def _refusal(name: str) -> str:
    if not name or name in (".", "..") or len(name) > _LONGEST:
        return f"which is empty, a folder's own name or longer than {_LONGEST} characters"
    if unprintable(name):
        return "which holds control characters or bytes that are not UTF-8"
    if any(character in name for character in "/\\|"):
        return "which holds a slash, a backslash or |"
    if is_formula(name):
        return f"which a spreadsheet takes for a formula because of its {name[0]}"
    if _key(name) in COLUMNS:
        return "which is a column of the results"
    return ""


def _key(name: str) -> str:
    folded = unicodedata.normalize("NFC", name).casefold()
    return unicodedata.normalize("NFC", folded)


def _quoted(name: str) -> str:
    return f"'{visible(name)}'"


def check_image_paths(paths: Iterable[str]) -> None:
    """Raise AllkitError for a path, read from a file, that leads out of the image folder on any system.

    Paths must be relative, with `/` as separator and no part that is empty, `.` or `..`.
    """
    for path in paths:
        windows = PureWindowsPath(path)
        outside = windows.drive or windows.root or ".." in windows.parts
        if outside or not path or path != PurePosixPath(path).as_posix() or path == "." or "\0" in path:
            raise AllkitError(f"{_quoted(path)} is not a path below the folder of images")

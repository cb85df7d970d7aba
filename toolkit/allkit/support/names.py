"""Names that become more than text: of classes, which name columns, and of images, which name files."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath, PureWindowsPath

from allkit.errors import AllkitError
from allkit.support.csvtext import is_formula
from allkit.support.text import unprintable, visible

# What stands beside one column per class in what `classify` and a training write.
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
    """AllkitError where class names cannot be told apart, or not be used as columns of a table.

    Refused are fewer than two names; a name that is empty, longer than 200 characters, or that of a column; one with
    control characters, with bytes that are not UTF-8, or with `/`, `\\` or `|` (prediction sets are written `A|B`); one
    that a spreadsheet would take for a formula; and two names that differ in case or Unicode normalisation only, since
    file systems and programs that read the results take them for one.
    """
    if len(names) < 2:
        raise AllkitError(f"{len(names)} class name(s): a classifier needs two or more")
    seen: dict[str, str] = {}
    for name in names:
        if reason := _refusal(name):
            raise AllkitError(f"a class cannot be called {_quoted(name)}, {reason}: rename it")
        if (other := seen.setdefault(_key(name), name)) != name:
            raise AllkitError(
                f"the classes {_quoted(other)} and {_quoted(name)} differ in case or Unicode normalisation only, which "
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
    """AllkitError for a path from a file that would lead out of the folder of images, on this system or another.

    A path is relative, with `/` between its parts, and none of them is empty, `.` or `..`.
    """
    for path in paths:
        windows = PureWindowsPath(path)
        outside = windows.drive or windows.root or ".." in windows.parts
        if outside or not path or path != PurePosixPath(path).as_posix() or path == "." or "\0" in path:
            raise AllkitError(f"{_quoted(path)} is not a path below the folder of images")

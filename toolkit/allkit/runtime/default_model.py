"""The model used when none is named: the one in ./exported/default, or else the one included in allkit.

`allkit export` writes that file, one line in the format of `sha256sum`: hash and name. Other models in the folder are
therefore never used by accident, and a replaced file is detected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import read_bytes
from allkit.support.files import content_hash, listing, write_text

EXPORT_FOLDER = Path("exported")

# Included in allkit, for users who have not exported a model.
SHIPPED_FOLDER = Path(__file__).parent.parent / "models"

_POINTER = "default"
_MOST_BYTES = 1024
_FIX = "export again, delete it to use the model that comes with allkit, or give --model FILE"


@dataclass(frozen=True)
class Default:
    """The model used when none is named. sha256: expected hash of its content, None for any. why: a phrase that follows
    its name.
    """

    path: Path
    sha256: str | None
    why: str


def name_default(model: Path) -> None:
    """Make a model the default of its folder."""
    write_text(model.with_name(_POINTER), f"{content_hash(model)}  {model.name}\n")


def keep_default(folder: Path, written: Iterable[Path]) -> None:
    """Keep the default of a folder when its file is among those just rewritten."""
    pointer = folder / _POINTER
    if pointer in listing(folder) and (path := _read(pointer)[0]) in written:
        name_default(path)


def default_model() -> Default:
    """Return the default model; AllkitError if ./exported cannot be read, its file `default` is damaged or names a
    missing file, or there is no model at all."""
    there = listing(EXPORT_FOLDER)
    pointer = EXPORT_FOLDER / _POINTER
    if pointer in there:
        path, sha256 = _read(pointer)
        if path not in there:
            raise AllkitError(f"{pointer} names {path.name}, which is not there: {_FIX}")
        return Default(path, sha256, f"named by {pointer}")
    shipped = sorted(SHIPPED_FOLDER.glob("*.onnx"))
    if not shipped:
        raise _none_at_hand()
    return Default(shipped[0], None, f"comes with allkit, there is no {pointer}")


def check_default(default: Default, sha256: str) -> None:
    """Raise AllkitError if the default's file is not the one that was named."""
    if default.sha256 not in (None, sha256):
        raise AllkitError(
            f"{EXPORT_FOLDER / _POINTER} names another file than {default.path.name} is now, by its SHA-256: {_FIX}"
        )


def models_at_hand() -> list[Path]:
    """The ONNX files of ./exported by name, or else the model included in allkit.

    Raises AllkitError when there is none, or ./exported cannot be read.
    """
    # Files with hidden names are still being written by an export.
    models = [path for path in listing(EXPORT_FOLDER) if path.suffix == ".onnx"] or sorted(
        SHIPPED_FOLDER.glob("*.onnx")
    )
    if not models:
        raise _none_at_hand()
    return models


def _read(pointer: Path) -> tuple[Path, str]:
    """The model that the file names, in its own folder, and its hash."""
    line = re.fullmatch(rb"([0-9a-f]{64}) [ *]([^/\\\0\r\n]+)\r?\n?", read_bytes(pointer, _MOST_BYTES))
    if not line:
        raise AllkitError(f"{pointer} does not hold one line with the SHA-256 and the name of a model: {_FIX}")
    return pointer.with_name(line[2].decode("utf-8", "surrogateescape")), line[1].decode()


def _none_at_hand() -> AllkitError:
    return AllkitError(f"no model in {EXPORT_FOLDER.absolute()}: make one with `allkit export`, or give --model FILE")

"""Command-line arguments to a list of image files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import SUFFIXES, is_image_name, natural_key
from allkit.runtime.overlay import SUFFIX
from allkit.support.tree import walk


def expand(files_or_folders: Iterable[Path]) -> list[Path]:
    """The files to read, in the order given; a folder stands for the images below it in natural order.

    Below a folder, only names with an image suffix count; hidden files and folders, links to folders, and the heat maps
    of an earlier classification are ignored. A repeated path is taken once. A file named explicitly is always included,
    as is a missing path or unreadable folder: reading it gives an error in its place. Raises AllkitError when nothing
    is left to read.
    """
    named = list(files_or_folders)
    paths = [path for name in named for path in (images_below(name) if os.path.isdir(name) else [name])]
    if not paths:
        raise AllkitError(
            f"no image in {', '.join(map(str, named))}: allkit reads files named {' '.join(sorted(SUFFIXES))}"
        )
    return list(dict.fromkeys(paths))


def is_image_below(folder: Path, path: Path) -> bool:
    """Whether `expand` takes a file below a folder, by its name."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return is_image_name(path.name) and not path.name.endswith(SUFFIX) and not hidden


def images_below(folder: Path) -> list[Path]:
    """The images below a folder that `expand` takes, and the folders that cannot be read, in natural order."""
    tree = walk(folder)
    found = [*(path for path in tree.files if is_image_below(folder, path)), *tree.closed]
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))

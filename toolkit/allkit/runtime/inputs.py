"""Command-line arguments to a list of image files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import SUFFIXES, is_image_name, natural_key
from allkit.runtime.overlay import SUFFIX
from allkit.support.tree import walk


def expand(files_or_folders: Iterable[Path]) -> list[Path]:
    """The files to read, in the order given; a folder stands for the images below it in natural order.

    Below a folder, only names with an image suffix count; hidden files and folders, links to folders, and the heat maps
    of an earlier classification are ignored. A folder without images stands for the Parquet files below it, which hold
    some. A repeated path is taken once. A file named explicitly is always included,
    as is a missing path or unreadable folder: reading it gives an error in its place. Raises AllkitError when nothing
    is left to read.
    """
    named = list(files_or_folders)
    paths = [path for name in named for path in (_below(name) if os.path.isdir(name) else [name])]
    if not paths:
        raise AllkitError(
            f"no image in {', '.join(map(str, named))}: allkit reads files named {' '.join(sorted(SUFFIXES))}"
        )
    return list(dict.fromkeys(paths))


def is_image_below(relative: PurePath) -> bool:
    """Whether `expand` takes a file as an image, by its path relative to the folder."""
    return is_image_name(relative.name) and not relative.name.endswith(SUFFIX) and not _is_hidden(relative)


def is_shard_below(relative: PurePath) -> bool:
    """Whether `expand` takes a file as a Parquet file of images, by its path relative to the folder."""
    return is_shard_name(relative.name) and not _is_hidden(relative)


def is_shard_name(name: str) -> bool:
    """Whether a file name ends like a Parquet file."""
    return PurePath(name).suffix.lower() == ".parquet"


def images_below(folder: Path) -> list[Path]:
    """The images below a folder that `expand` takes, and the folders that cannot be read, in natural order."""
    tree = walk(folder)
    return _sorted(folder, [*_only(tree.files, folder, is_image_below), *tree.closed])


def _below(folder: Path) -> list[Path]:
    return images_below(folder) or _sorted(folder, _only(walk(folder).files, folder, is_shard_below))


def _only(paths: Iterable[Path], folder: Path, wanted: Callable[[PurePath], bool]) -> list[Path]:
    return [path for path in paths if wanted(path.relative_to(folder))]


def _sorted(folder: Path, paths: list[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def _is_hidden(relative: PurePath) -> bool:
    return any(part.startswith(".") for part in relative.parts)

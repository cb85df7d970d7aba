"""The files below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from allkit.errors import reason


@dataclass(frozen=True)
class Tree:
    """files: unordered, without hidden ones. links: those to folders, which are not followed. closed: folders that
    could not be read completely, with the reason."""

    files: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    closed: dict[Path, str] = field(default_factory=dict)


def walk(folder: Path) -> Tree:
    """List what lies below a folder at any depth, see `folders`."""
    tree = Tree()
    for one in folders(folder):
        tree.files.extend(one.files)
        tree.links.extend(one.links)
        tree.closed.update(one.closed)
    return tree


def folders(folder: Path) -> Iterator[Tree]:
    """What lies in a folder and in each of those below it, one after the other; hidden folders are skipped.

    A folder too deep to be named counts as closed. (`os.walk` recurses once per level before Python 3.12.)
    """
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        tree = Tree()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if not _is_folder(entry):
                        tree.files.append(Path(entry.path))
                    elif entry.is_symlink():
                        tree.links.append(Path(entry.path))
                    else:
                        waiting.append(Path(entry.path))
        except OSError as error:
            tree.closed[place] = reason(error)
        yield tree


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself: reading it reports that.
        return False

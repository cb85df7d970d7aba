"""The files below a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from allkit.errors import reason


@dataclass(frozen=True)
class Tree:
    """files: in no order, hidden ones left out. links: those to folders, which are not entered.
    closed: folders that could not be read, or not to their end, and the reason."""

    files: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    closed: dict[Path, str] = field(default_factory=dict)


def walk(folder: Path) -> Tree:
    """What lies below a folder at any depth; hidden folders are passed over.

    A folder too deep for the system to be named is a closed one. (`os.walk` calls itself once a level before 3.12.)
    """
    tree = Tree()
    waiting = [folder]
    while waiting:
        place = waiting.pop()
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
    return tree


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself: reading it says so.
        return False

"""Blocks of neighbouring files of a class, by the numbers in their names or else by order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from allkit.data.index import Dataset

FAR_APART = "file numbers are far apart"
# Numbers are used if their blocks are at least half as full as blocks of consecutive files.
_SPARSE = 2


def blocks_of(dataset: Dataset, block_length: int) -> tuple[list[tuple[int, int]], dict[str, str]]:
    """(class, block number) of each image; and for the classes ordered by name instead of number, the reason.

    The number of a file is the last run of digits in its name. The images of a dataset are sorted by class and, within
    a class, in natural order of their names.
    """
    blocks: list[tuple[int, int]] = []
    ordered: dict[str, str] = {}
    for label, name in enumerate(dataset.classes):
        paths = [path for path, other in zip(dataset.paths, dataset.labels, strict=True) if other == label]
        numbers, reason = _numbers(paths, block_length)
        if reason:
            numbers, ordered[name] = range(1, len(paths) + 1), reason
        blocks += [(label, (number - 1) // block_length) for number in numbers]
    return blocks, ordered


def _numbers(paths: Sequence[str], block_length: int) -> tuple[Sequence[int], str]:
    """The numbers of the files, or why they do not show which files are neighbours."""
    runs = [re.findall(r"\d+", Path(path).stem) for path in paths]
    if not all(runs):
        return [], "not every file has a number"
    numbers = [int(digits[-1]) for digits in runs]
    if len(set(numbers)) < len(numbers):
        return [], "file numbers repeat"
    filled = len({(number - 1) // block_length for number in numbers})
    # Times of day, for example, would put almost every file into a block of its own.
    if filled > _SPARSE * -(-len(numbers) // block_length):
        return [], FAR_APART
    return numbers, ""

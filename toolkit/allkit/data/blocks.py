"""Blocks of neighbouring files of a class: by the numbers in their names, or by order where these do not serve."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from allkit.data.index import Dataset

FAR_APART = "file numbers are far apart"
# Numbers serve while blocks of them are at least half as full as blocks of files would be.
_SPARSE = 2


def blocks_of(dataset: Dataset, block_length: int) -> tuple[list[tuple[int, int]], dict[str, str]]:
    """(class, block number) of each image, and by class why its blocks go by the order of names, where they do.

    The number of a file is the last run of digits in its name. The images of a dataset come class by class, in natural
    order of their names.
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
    """The numbers of files, or why they do not tell which files are neighbours."""
    runs = [re.findall(r"\d+", Path(path).stem) for path in paths]
    if not all(runs):
        return [], "not every file has a number"
    numbers = [int(digits[-1]) for digits in runs]
    if len(set(numbers)) < len(numbers):
        return [], "file numbers repeat"
    filled = len({(number - 1) // block_length for number in numbers})
    # Times of day, for example: almost every one would be a block of its own, and nothing be kept together.
    if filled > _SPARSE * -(-len(numbers) // block_length):
        return [], FAR_APART
    return numbers, ""

"""How images are dealt out to train, validation and test.

Both protocols deal out groups, never images, class by class, along a circle cut into `folds` arcs: arc `fold`
is the test part, what follows is validation, the rest is train. A single split is the first of ten folds, so a
cross-validation and a split are the same thing seen at another index.

`random` is the paper's protocol: 80/10/10, stratified; groups are byte-identical files, in random order.
`grouped` asks what the model does on slides it has not seen: groups are blocks of neighbouring file numbers (the
ALL set was numbered slide by slide, about 37 images a patient) or the patients of a list, joined with exact and
near duplicates; the order of the blocks is kept, so that test is one stretch, and an embargo of one block on each
side of it is left out of everything. Validation may border on train: what is fitted there, a temperature or a
threshold, sees images a little easier than those of the test part.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import UNSET, Meta, UnsetType

from allkit.csvtext import read_rows
from allkit.dataset.duplicates import connected_groups, near_pairs
from allkit.dataset.index import Dataset, Images
from allkit.dataset.split import PARTS, Split
from allkit.errors import AllkitError
from allkit.files import content_hash
from allkit.reading import as_kind, as_plain

PROTOCOLS = ("grouped", "random")
BLOCK_LENGTH = 37
FOLDS = 10
VALIDATION = 0.1


@dataclass(frozen=True)
class _Parameters:
    """How a split was made, as a contract tells it."""

    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    fold: Annotated[int, Meta(ge=0, le=1000)] | UnsetType = UNSET
    folds: Annotated[int, Meta(ge=2, le=1000)] | UnsetType = UNSET
    block_length: Annotated[int, Meta(ge=1, le=10**6)] | UnsetType = UNSET


@dataclass
class _Group:
    """Rows of the dataset that stay together, and the blocks (class, number) that they lie in."""

    rows: list[int]
    blocks: set[tuple[int, int]] = field(default_factory=set)


def make_split(
    images: Images,
    protocol: str,
    seed: int,
    fold: int = 0,
    folds: int = FOLDS,
    block_length: int = BLOCK_LENGTH,
    groups_file: Path | None = None,
) -> Split:
    """Fold `fold` of `folds` under the protocol "random" or "grouped"; `groups_file` takes the place of blocks."""
    if protocol == "random":
        return random_split(images, seed, fold, folds)
    if groups_file is not None:
        return listed_split(images, seed, groups_file, fold, folds)
    return grouped_split(images, seed, fold, folds, block_length)


def random_split(images: Images, seed: int, fold: int = 0, folds: int = FOLDS) -> Split:
    """The paper's protocol. Raises AllkitError when a class has too few different images."""
    rng = np.random.default_rng(seed)
    groups = _components(len(images.dataset), _same(images.hashes))
    return _deal(images, _shuffled(images.dataset, groups, rng), fold, folds, "random", {"seed": seed})


def grouped_split(
    images: Images, seed: int, fold: int = 0, folds: int = FOLDS, block_length: int = BLOCK_LENGTH
) -> Split:
    """Blocks of `block_length` neighbouring file numbers. AllkitError when a class has too few blocks.

    The number of a file is the last run of digits in its name. In a class where names have none or numbers repeat
    (sub-folders, times of day) it is the file's place in natural order.
    """
    rng = np.random.default_rng(seed)
    dataset = images.dataset
    blocks = _blocks(dataset, block_length)
    groups = _components(len(dataset), _same(blocks), _same(images.hashes), near_pairs(images.difference_hashes))
    for group in groups:
        group.blocks = {blocks[row] for row in group.rows}
    by_class = []
    for members in _by_class(dataset, groups):
        members.sort(key=lambda group: min(group.blocks))
        # A class whose groups all belong to another class has none left; `_deal` names it.
        start = int(rng.integers(len(members))) if members else 0
        by_class.append(members[start:] + members[:start])
    return _deal(
        images, by_class, fold, folds, "grouped", {"seed": seed, "block_length": block_length, "embargo_blocks": 1}
    )


def listed_split(images: Images, seed: int, groups_file: Path, fold: int = 0, folds: int = FOLDS) -> Split:
    """Groups from a CSV file with the columns path and patient, joined with duplicates, in random order.

    Raises AllkitError when the file cannot be read or an image is missing from it.
    """
    rng = np.random.default_rng(seed)
    patients = read_groups(groups_file)
    digest = content_hash(groups_file)
    if missing := next((path for path in images.dataset.paths if not patients.get(path)), None):
        raise AllkitError(f"{groups_file} names no patient for {missing}: add a row for every image")
    owner = [patients[path] for path in images.dataset.paths]
    groups = _components(len(owner), _same(owner), _same(images.hashes), near_pairs(images.difference_hashes))
    return _deal(
        images,
        _shuffled(images.dataset, groups, rng),
        fold,
        folds,
        "grouped",
        {"seed": seed, "groups": f"file {digest}"},
    )


def split_again(images: Images, summary: Mapping[str, Any]) -> Split:
    """The split of a training, made again from the summary of it that a contract holds.

    Raises AllkitError when the images are others, or their groups were listed in a file.
    """
    told = summary.get("parameters", {})
    split = None
    if isinstance(told, Mapping) and "seed" in told and "groups" not in told:
        numbers = as_kind(dict(told), _Parameters, "the split in the contract", "give --split RUN/split.json")
        make = grouped_split if "block_length" in told else random_split
        split = make(images, **as_plain(numbers))
    if split is None or split.hash != summary.get("hash"):
        raise AllkitError(
            "the split of the training cannot be made again from the contract and the images in "
            f"{images.dataset.root}: give --split RUN/split.json"
        )
    return split


def read_groups(path: Path) -> dict[str, str]:
    """Relative path to patient, from a CSV file with these two columns; AllkitError where it is none."""
    fix = "give a CSV file with the columns path,patient"
    header, *rows = read_rows(path, fix)
    if not {"path", "patient"} <= set(header):
        raise AllkitError(f"{path} is not a CSV file with the columns path,patient")
    image, patient = header.index("path"), header.index("patient")
    patients: dict[str, str] = {}
    for row in rows:
        if patients.setdefault(row[image], row[patient]) != row[patient]:
            raise AllkitError(f"{path} names two patients for {row[image]}: {fix}, one row an image")
    return patients


def _deal(
    images: Images,
    by_class: Sequence[Sequence[_Group]],
    fold: int,
    folds: int,
    protocol: str,
    parameters: Mapping[str, object],
) -> Split:
    if not 0 <= fold < folds or folds < 2:
        raise AllkitError(f"fold {fold} of {folds}: give two or more folds, numbered from 0")
    dataset = images.dataset
    rows: dict[str, list[int]] = {part: [] for part in PARTS}
    for name, groups in zip(dataset.classes, by_class, strict=True):
        sizes = [len(group.rows) for group in groups]
        count = sum(sizes)
        inside = _arc(sizes, fold, folds)
        test = {block for i in inside for block in groups[i].blocks}
        near = {(label, number + step) for label, number in test for step in (-1, 1)} - test
        others = [i % len(groups) for i in range(inside.stop, inside.start + len(groups))]
        others = [i for i in others if not groups[i].blocks & near]
        wanted = max(1, round(VALIDATION * count))
        validation = []
        while wanted > 0 and len(others) > 1:
            validation.append(others.pop(0))
            wanted -= sizes[validation[-1]]
        if not (inside and validation and others):
            raise AllkitError(
                f"class {name} falls into {len(groups)} group(s), too few for fold {fold + 1} of {folds} of the "
                f"{protocol} protocol: use fewer folds, a shorter --block-length, or --split random"
            )
        for part, chosen in zip(PARTS, (others, validation, inside), strict=True):
            rows[part] += [row for i in chosen for row in groups[i].rows]
    group_of = {
        dataset.paths[row]: number
        for number, group in enumerate(group for groups in by_class for group in groups)
        for row in group.rows
    }
    return Split(
        protocol=protocol,
        parameters={**parameters, "validation": VALIDATION, "fold": fold, "folds": folds},
        parts={part: tuple(dataset.paths[row] for row in sorted(chosen)) for part, chosen in rows.items()},
        hashes=images.hashes_by_path,
        groups=group_of,
    )


def _arc(sizes: Sequence[int], fold: int, folds: int) -> range:
    """The groups of one of `folds` arcs that hold nearly equally many images, and one group each if there are so many.

    A group lies in the arc in which it starts. With fewer groups than arcs, the last arcs are empty.
    """
    starts = np.cumsum([0, *sizes])
    cuts = [int(np.searchsorted(starts[:-1], round(starts[-1] * cut / folds))) for cut in range(folds + 1)]
    for cut in range(1, folds + 1):
        cuts[cut] = max(cuts[cut], cuts[cut - 1] + 1)
    cuts[folds] = len(sizes)
    for cut in range(folds - 1, 0, -1):
        cuts[cut] = min(cuts[cut], max(cut, cuts[cut + 1] - 1), len(sizes))
    return range(cuts[fold], cuts[fold + 1])


def _components(count: int, *links: Iterable[Sequence[int]]) -> list[_Group]:
    numbers = connected_groups(count, chain(*links))
    groups = [_Group([]) for _ in range(numbers.max() + 1)]
    for row, number in enumerate(numbers.tolist()):
        groups[number].rows.append(row)
    return groups


def _same(keys: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Pairs of rows that link all rows with the same key."""
    first: dict[Hashable, int] = {}
    return [(first.setdefault(key, row), row) for row, key in enumerate(keys)]


def _shuffled(dataset: Dataset, groups: Sequence[_Group], rng: np.random.Generator) -> list[list[_Group]]:
    return [[members[i] for i in reversed(rng.permutation(len(members)))] for members in _by_class(dataset, groups)]


def _by_class(dataset: Dataset, groups: Sequence[_Group]) -> list[list[_Group]]:
    """The groups of each class; one that holds images of two classes goes with its first image."""
    return [
        [group for group in groups if dataset.labels[group.rows[0]] == label] for label in range(len(dataset.classes))
    ]


def _blocks(dataset: Dataset, block_length: int) -> list[tuple[int, int]]:
    """(class, block number) of each image; the images of a dataset come class by class."""
    blocks: list[tuple[int, int]] = []
    for label in range(len(dataset.classes)):
        paths = [path for path, other in zip(dataset.paths, dataset.labels, strict=True) if other == label]
        runs = [re.findall(r"\d+", Path(path).stem) for path in paths]
        numbers = [int(digits[-1]) if digits else None for digits in runs]
        if None in numbers or len(set(numbers)) < len(numbers):
            numbers = list(range(1, len(paths) + 1))
        blocks += [(label, (number - 1) // block_length) for number in numbers]
    return blocks

"""How images are split into train, validation and test.

Both protocols assign groups, never single images, class by class, along a circle cut into `folds` arcs: arc `fold` is
the test part, the next one validation, and the rest train. A single split is the first of ten folds, so
cross-validation and single splits work the same way.

`random` is the paper's protocol: 80/10/10, stratified. Groups are byte-identical files, in random order.
`grouped` estimates the accuracy on unseen slides. Groups are blocks of neighbouring file numbers (the ALL set was
numbered slide by slide, about 37 images per patient) or the patients of a list, joined with exact and near duplicates.
Blocks keep their order, so that the test part is one stretch; an embargo of one block on each side of it, in every
class that a tested group touches, is left out entirely. Validation may border on train: what is fitted on it, a
temperature or a threshold, sees slightly easier images than the test part has.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from allkit.data.blocks import FAR_APART, blocks_of
from allkit.data.duplicates import connected_groups, near_pairs
from allkit.data.index import Dataset, Images
from allkit.data.patients import read_patients
from allkit.data.split import PARTS, Split
from allkit.errors import AllkitError
from allkit.support.files import content_hash

PROTOCOLS = ("grouped", "random")
BLOCK_LENGTH = 37
FOLDS = 10
VALIDATION = 0.1
# How many times as many images in the largest class as in the smallest call for a warning.
_UNEVEN = 3


@dataclass
class _Group:
    """Rows of the dataset that stay together, and the blocks (class, number) they belong to."""

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
    """Fold `fold` of `folds` under the protocol "random" or "grouped"; `groups_file` replaces blocks by patients."""
    if protocol == "random":
        return random_split(images, seed, fold, folds)
    if groups_file is not None:
        return listed_split(images, seed, groups_file, fold, folds)
    return grouped_split(images, seed, fold, folds, block_length)


def random_split(images: Images, seed: int, fold: int = 0, folds: int = FOLDS) -> Split:
    """The paper's protocol. Raises AllkitError when a class has too few distinct images."""
    rng = np.random.default_rng(seed)
    groups = _components(len(images.dataset), _same(images.hashes))
    return _deal(images, _shuffled(images.dataset, groups, rng), fold, folds, "random", {"seed": seed})


def grouped_split(
    images: Images, seed: int, fold: int = 0, folds: int = FOLDS, block_length: int = BLOCK_LENGTH
) -> Split:
    """Groups of `block_length` neighbouring file numbers. Raises AllkitError when a class has too few blocks.

    The number of a file is the last run of digits in its name. If the names of a class have no numbers, or the numbers
    repeat (sub-folders) or are far apart (times of day), it is the file's place in natural order; the parameters list
    the classes whose numbers are far apart.
    """
    rng = np.random.default_rng(seed)
    dataset = images.dataset
    blocks, ordered = blocks_of(dataset, block_length)
    groups = _components(len(dataset), _same(blocks), _same(images.hashes), near_pairs(images.difference_hashes))
    for group in groups:
        group.blocks = {blocks[row] for row in group.rows}
    by_class = []
    for members in _by_class(dataset, groups):
        members.sort(key=lambda group: min(group.blocks))
        # A class may lose all its groups to another class; `_deal` reports that.
        start = int(rng.integers(len(members))) if members else 0
        by_class.append(members[start:] + members[:start])
    parameters = {"seed": seed, "block_length": block_length, "embargo_blocks": 1}
    if sparse := [name for name, reason in ordered.items() if reason == FAR_APART]:
        parameters["by_order_of_name"] = sparse
    return _deal(images, by_class, fold, folds, "grouped", parameters)


def listed_split(images: Images, seed: int, groups_file: Path, fold: int = 0, folds: int = FOLDS) -> Split:
    """Groups from a CSV file with the columns path and patient, joined with duplicates, in random order.

    Raises AllkitError when the file cannot be read, contradicts itself or lacks an image (`read_patients`).
    """
    rng = np.random.default_rng(seed)
    owner = read_patients(groups_file, images.dataset.paths)
    digest = content_hash(groups_file)
    groups = _components(len(owner), _same(owner), _same(images.hashes), near_pairs(images.difference_hashes))
    return _deal(
        images,
        _shuffled(images.dataset, groups, rng),
        fold,
        folds,
        "grouped",
        {"seed": seed, "groups": f"file {digest}"},
    )


def remarks(images: Images, split: Split) -> tuple[str, ...]:
    """Remarks on the groups of a split, in sentences; a warning if hardly any images are grouped."""
    count, n = split.group_count, len(split.groups)
    told = [f"{split.label} split: {count:,} groups of {n:,} images"]
    if length := split.parameters.get("block_length"):
        told += [
            f"class {name}: {reason}, so that a block is {length} files in order of their names"
            for name, reason in blocks_of(images.dataset, length)[1].items()
        ]
    counts = images.dataset.counts()
    fewest, most = min(counts, key=counts.get), max(counts, key=counts.get)
    if counts[most] >= _UNEVEN * counts[fewest]:
        told.append(
            f"warning: {counts[most]:,} images of class {most}, {counts[fewest]:,} of {fewest}: a network may neglect "
            "the rare class; look at its own recall, and try --class-weights"
        )
    if split.protocol == "grouped" and count > n / 2:
        told.append(
            "warning: nearly as many groups as images: hardly any neighbours are kept together, and a test part is as "
            "easy as under --split random; give --groups FILE with the patients, or a longer --block-length"
        )
    return tuple(told)


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
    arcs = [_arc([len(group.rows) for group in groups], fold, folds) for groups in by_class]
    # For all classes first: a group that duplicates join across classes has neighbours in both.
    test = {block for groups, inside in zip(by_class, arcs, strict=True) for i in inside for block in groups[i].blocks}
    near = {(label, number + step) for label, number in test for step in (-1, 1)} - test
    for name, groups, inside in zip(dataset.classes, by_class, arcs, strict=True):
        others = [i % len(groups) for i in range(inside.stop, inside.start + len(groups))]
        others = [i for i in others if not groups[i].blocks & near]
        wanted = max(1, round(VALIDATION * sum(len(group.rows) for group in groups)))
        validation = []
        while wanted > 0 and len(others) > 1:
            validation.append(others.pop(0))
            wanted -= len(groups[validation[-1]].rows)
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
    """The groups of one of `folds` arcs with nearly equal numbers of images, at least one group each if possible.

    A group belongs to the arc in which it starts. With fewer groups than arcs, the last arcs are empty.
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
    """Pairs of rows that link all rows with equal keys."""
    first: dict[Hashable, int] = {}
    return [(first.setdefault(key, row), row) for row, key in enumerate(keys)]


def _shuffled(dataset: Dataset, groups: Sequence[_Group], rng: np.random.Generator) -> list[list[_Group]]:
    return [[members[i] for i in reversed(rng.permutation(len(members)))] for members in _by_class(dataset, groups)]


def _by_class(dataset: Dataset, groups: Sequence[_Group]) -> list[list[_Group]]:
    """The groups of each class; a group with images of two classes goes with its first image."""
    return [
        [group for group in groups if dataset.labels[group.rows[0]] == label] for label in range(len(dataset.classes))
    ]

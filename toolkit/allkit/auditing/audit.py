"""Audit of a folder of labelled images: what an accuracy on it is worth.

The record answers four questions: can every file be read, are there duplicates, what accuracy does a method reach that
cannot see a cell, and does a mark in a corner give the class away. `text` puts the record into words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from allkit.data import baselines
from allkit.data.duplicates import NEAR_THRESHOLD, connected_groups, near_pairs, repeated
from allkit.data.index import Dataset, Images, fingerprint, read
from allkit.data.protocol import BLOCK_LENGTH, FOLDS, grouped_split, random_split, remarks
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import decode, read_bytes
from allkit.metrics import Interval, proportion

SCHEMA_VERSION = 1
COLOUR_HISTOGRAM = "colour_histogram"
MAJORITY_CLASS = "majority_class"
# Light falls off towards the corners, which alone is worth a few points in any set from one microscope.
CORNER_MARGIN = 0.05

_SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}


@dataclass(frozen=True)
class DuplicateGroup:
    """Images (relative paths) linked by a chain of duplicates, and their classes."""

    paths: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ProtocolAudit:
    """The accuracy of methods that cannot see a cell, under one split protocol.

    The folds of one seed are pooled, except those for which a class has too few groups: n images were tested once each
    against the training part of their fold. groups: number of groups of the tested images. baselines, patches: accuracy
    by name with its 95 % Wilson interval over groups. twins: number of tested images with an exact or near duplicate in
    the training part. remarks: on the groups, in sentences.
    """

    n: int
    groups: int
    folds: int
    twins: int
    baselines: Mapping[str, Interval]
    patches: Mapping[str, Interval]
    remarks: tuple[str, ...] = ()

    @property
    def revealing_corners(self) -> tuple[str, ...]:
        """Corners that predict the class better than the centre patch and the majority class.

        The lower end of their interval must exceed the upper ends of the others by `CORNER_MARGIN`.
        """
        usual = max(self.patches[baselines.CENTRE].high, self.baselines[MAJORITY_CLASS].high)
        return tuple(name for name, share in self.patches.items() if share.low > usual + CORNER_MARGIN)


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    counts: readable images by class. sizes: of the decoded images, as "224x224" (width x height). formats: by
    signature, not file name. skipped: files that are not images by name or place; unreadable: images that cannot be
    decoded; both path to reason. exact_pairs: pairs of byte-identical files. near_pairs: other pairs whose hashes
    differ in at most near_threshold of 256 bits. exact_twins, near_twins: expected number of test images with an exact,
    or any, duplicate in training, in a random 80/10/10 split of single images. protocols: by name. not_split: protocol
    to the reason why the images do not suffice for it.
    """

    root: str
    data_fingerprint: str
    seed: int
    block_length: int
    near_threshold: int
    counts: Mapping[str, int]
    sizes: Mapping[str, int]
    formats: Mapping[str, int]
    skipped: Mapping[str, str]
    unreadable: Mapping[str, str]
    exact_pairs: int
    near_pairs: int
    exact_twins: float
    near_twins: float
    exact_duplicates: tuple[DuplicateGroup, ...]
    near_duplicates: tuple[DuplicateGroup, ...]
    protocols: Mapping[str, ProtocolAudit]
    not_split: Mapping[str, str]

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    @property
    def cross_class(self) -> tuple[DuplicateGroup, ...]:
        """Groups with images in more than one class: a label is wrong, or uncertain for near copies."""
        groups = dict.fromkeys(self.near_duplicates + self.exact_duplicates)
        return tuple(group for group in groups if len(group.classes) > 1)

    @property
    def errors(self) -> int:
        """Number of unreadable images and duplicate groups across classes, which need fixing before training."""
        return len(self.unreadable) + len(self.cross_class)

    def to_dict(self) -> dict[str, Any]:
        record = {"schema_version": SCHEMA_VERSION, "n": self.n, "errors": self.errors, **asdict(self)}
        record["cross_class"] = [asdict(group) for group in self.cross_class]
        for name, protocol in self.protocols.items():
            record["protocols"][name]["revealing_corners"] = protocol.revealing_corners
        return record


def audit_dataset(
    dataset: Dataset,
    near_threshold: int = NEAR_THRESHOLD,
    seed: int = 0,
    block_length: int = BLOCK_LENGTH,
    on_image: Callable[[], None] = lambda: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Audit:
    """Read and examine all images of a scanned dataset.

    near_threshold: bits of 256 in which near duplicates may differ. seed: of the splits. block_length: file numbers per
    block of the grouped protocol. `on_image` is called once per image read, `on_stage` with the name of each later
    stage. Raises AllkitError when no image of a class can be read.
    """
    images = read(dataset, baselines.PIXELS, on_image)
    readable = images.dataset
    on_stage("looking at sizes and formats")
    formats, sizes = _file_facts(readable)
    on_stage("looking for duplicates")
    pairs = near_pairs(images.difference_hashes, near_threshold)
    digests = np.array(images.hashes)
    identical = digests[pairs[:, 0]] == digests[pairs[:, 1]]
    same = connected_groups(len(readable), pairs[identical])
    alike = connected_groups(len(readable), pairs)
    protocols, not_split = _protocols(images, alike, seed, block_length, on_stage)
    return Audit(
        root=str(readable.root),
        data_fingerprint=fingerprint(images.hashes_by_path),
        seed=seed,
        block_length=block_length,
        near_threshold=near_threshold,
        counts=readable.counts(),
        sizes=sizes,
        formats=formats,
        skipped=dataset.skipped,
        unreadable={path: reason for path, reason in readable.skipped.items() if path not in dataset.skipped},
        exact_pairs=int(identical.sum()),
        near_pairs=int((~identical).sum()),
        exact_twins=_expected_twins(pairs[identical], len(readable)),
        near_twins=_expected_twins(pairs, len(readable)),
        exact_duplicates=_groups(readable, repeated(same)),
        near_duplicates=_groups(readable, [rows for rows in repeated(alike) if len(set(same[rows])) > 1]),
        protocols=protocols,
        not_split=not_split,
    )


def file_format(data: bytes) -> str:
    """JPEG, PNG, BMP, TIFF or WebP by the first bytes of a file, or "other"."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return next((name for signature, name in _SIGNATURES.items() if data.startswith(signature)), "other")


def _file_facts(dataset: Dataset) -> tuple[dict[str, int], dict[str, int]]:
    """Number of files by format and by size, most common first."""
    formats: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for path in dataset.paths:
        data = read_bytes(dataset.root / path)
        height, width = decode(data).shape[:2]
        formats[file_format(data)] += 1
        sizes[f"{width}x{height}"] += 1
    return dict(formats.most_common()), dict(sizes.most_common())


def _groups(dataset: Dataset, groups: Sequence[np.ndarray]) -> tuple[DuplicateGroup, ...]:
    return tuple(
        DuplicateGroup(
            tuple(dataset.paths[row] for row in rows),
            tuple(dataset.classes[label] for label in np.unique(dataset.labels[rows])),
        )
        for rows in groups
    )


def _expected_twins(pairs: np.ndarray, n: int, train: float = 0.8, test: float = 0.1) -> float:
    """Expected number of test images with a duplicate in training, if each of n images is assigned independently.

    An image with d duplicates is in the test part with probability `test`, and at least one of them is in training with
    probability 1 - (1 - train)**d.
    """
    duplicates = np.bincount(pairs.ravel(), minlength=n)
    return float(test * (1 - (1 - train) ** duplicates).sum())


def _protocols(
    images: Images, alike: np.ndarray, seed: int, block_length: int, on_stage: Callable[[str], None]
) -> tuple[dict[str, ProtocolAudit], dict[str, str]]:
    """The result for each protocol, and the reasons for those that the images do not suffice for."""
    on_stage("measuring colours")
    features = {
        COLOUR_HISTOGRAM: images.colour_histograms,
        "grey_histogram": baselines.grey_histograms(images.pixels),
        "background_colour": baselines.background_colours(images.pixels),
    }
    patches = baselines.patch_features(images.pixels)
    makers = {"random": random_split, "grouped": partial(grouped_split, block_length=block_length)}
    done: dict[str, ProtocolAudit] = {}
    failed: dict[str, str] = {}
    for name, make in makers.items():
        on_stage(f"measuring the baselines, {name} protocol")
        splits = []
        for fold in range(FOLDS):
            try:
                splits.append(make(images, seed, fold=fold))
            except AllkitError as error:
                failed[name] = str(error)
        if splits:
            failed.pop(name, None)
            rows = [tuple(images.dataset.select(split.parts[part]) for part in ("train", "test")) for split in splits]
            # Groups have the same numbers in all folds.
            groups = np.array([splits[0].groups[path] for path in images.dataset.paths])
            measured = _measure(images.dataset.labels, alike, groups, features, patches, rows)
            done[name] = replace(measured, remarks=remarks(images, splits[0]))
    return done, failed


def _measure(
    labels: np.ndarray,
    alike: np.ndarray,
    groups: np.ndarray,
    features: Mapping[str, np.ndarray],
    patches: Mapping[str, np.ndarray],
    rows: Sequence[tuple[np.ndarray, np.ndarray]],
) -> ProtocolAudit:
    """Every baseline, pooled over the folds.

    groups: of all images, int64 (n,). rows: the training and test rows of each fold.
    """
    tested = np.concatenate([test for _, test in rows])

    def accuracy(predict: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Interval:
        predicted = np.concatenate([predict(train, test) for train, test in rows])
        return proportion(predicted == labels[tested], groups[tested])

    def nearest(values: np.ndarray) -> Interval:
        return accuracy(partial(baselines.nearest_labels, values, labels))

    return ProtocolAudit(
        n=len(tested),
        groups=len(np.unique(groups[tested])),
        folds=len(rows),
        twins=sum(int(np.isin(alike[test], alike[train]).sum()) for train, test in rows),
        baselines={
            **{name: nearest(values) for name, values in features.items()},
            MAJORITY_CLASS: accuracy(partial(baselines.majority_labels, labels)),
        },
        patches={name: nearest(values) for name, values in patches.items()},
    )

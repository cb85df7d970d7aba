"""Intervals and paired tests of cross-validations recorded without a group for each image.

    python benchmarks/regroup.py DATA RECORD [RECORD ...] > table.md

These records have the accuracy of each fold but no prediction of an image. Each fold, a whole stretch of files, is
therefore one group: few groups and wide intervals. The colour baseline is measured again on the same folds, with an
interval over groups of images. Fails if DATA does not give the folds of a record. Rewrites accuracy, baseline and note
of each record in place; prints accuracies and, for any two records with the same folds, the exact sign-flip test over
folds, adjusted by Holm.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from allkit.data.index import BASELINE, Images, read, scan
from allkit.data.protocol import make_split
from allkit.errors import AllkitError
from allkit.metrics import Interval, holm, least_difference, proportion, sign_flip_exact

NOTE = (
    "Made before records held the prediction and group of each image: the interval of accuracy is over folds, that of "
    "the baseline over groups; those of metrics.per_class, metrics.malignant_vs_benign and folds take images for "
    "independent and are too narrow."
)


def right_by_fold(record: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Number of images classified correctly, and tested, in each fold: int64 (folds,) each."""
    tested = np.array([fold["n"]["test"] for fold in record["folds"]])
    return np.rint([fold["accuracy"]["value"] for fold in record["folds"]] * tested).astype(np.int64), tested


def over_folds(record: Mapping[str, Any]) -> Interval:
    """The accuracy, with folds as groups."""
    right, tested = right_by_fold(record)
    hits = np.concatenate([np.arange(n) < hit for hit, n in zip(right, tested, strict=True)])
    return proportion(hits, np.repeat(np.arange(len(tested)), tested))


def baseline(images: Images, record: Mapping[str, Any]) -> tuple[Interval, np.ndarray, int]:
    """The colour baseline on the folds of the record.

    Returns its accuracy with an interval over groups, the number of correct images by fold, int64 (folds,), and the
    number of groups.
    """
    protocol = record["split"]["protocol"].partition(" ")[0]
    told = {name: record["split"]["parameters"].get(name) for name in ("seed", "folds", "block_length")}
    told = {name: value for name, value in told.items() if value is not None}
    right, groups = [], []
    for fold, made in enumerate(record["folds"]):
        split = make_split(images, protocol, fold=fold, **told)
        if split.hash != made["hash"]:
            raise AllkitError(f"fold {fold + 1} is not that of the record: give the images that it was made from")
        right.append(images.baseline_right(split.parts["train"], split.parts["test"]))
        groups += [split.groups[path] for path in split.parts["test"]]
    by_fold = np.array([int(of_fold.sum()) for of_fold in right])
    return proportion(np.concatenate(right), groups), by_fold, split.group_count


def pairs(records: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """One row for every two records with the same folds."""
    folds = {name: [fold["hash"] for fold in record["folds"]] for name, record in records.items()}
    found = [(a, b) for a, b in combinations(records, 2) if folds[a] == folds[b]]
    steps = [right_by_fold(records[a])[0] - right_by_fold(records[b])[0] for a, b in found]
    p_values = [sign_flip_exact(step) for step in steps]
    return [
        [
            a,
            b,
            _signed(step),
            f"{100 * step.sum() / records[a]['metrics']['n']:+.2f}",
            f"{p:.3f}",
            f"{adjusted:.3f}",
        ]
        for (a, b), step, p, adjusted in zip(found, steps, p_values, holm(p_values), strict=True)
    ]


def _signed(numbers: np.ndarray) -> str:
    return " ".join(f"{number:+d}" for number in numbers)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)) + "\n"


def main(data: str, *files: str) -> None:
    images = read(scan(Path(data)))
    records: dict[str, dict[str, Any]] = {}
    rows = []
    for path in map(Path, files):
        record = json.loads(path.read_text())
        told, by_fold, groups = baseline(images, record)
        record["metrics"]["accuracy"] = asdict(over_folds(record))
        record["baseline"] = {"method": BASELINE, **asdict(told)}
        record["split"]["groups"] = groups
        record["note"] = NOTE
        path.write_text(json.dumps(record, indent=1) + "\n")
        records[path.stem] = record
        accuracy = Interval(**record["metrics"]["accuracy"])
        ahead = right_by_fold(record)[0] - by_fold
        more = f"{_signed(ahead)} (p {sign_flip_exact(ahead):.3f})"
        rows.append([path.stem, accuracy.percent(2), told.percent(2), str(groups), more])
    header = ("record", "accuracy, over folds", "baseline, over groups", "groups", "images ahead of it, by fold")
    print(markdown(header, rows))
    if compared := pairs(records):
        print(markdown(("A", "B", "images, A - B, by fold", "points", "p", "p by Holm"), compared))
        folds = len(records[compared[0][0]]["folds"])
        least = least_difference(records[compared[0][0]]["metrics"]["n"], folds)
        told = "could have shown none at all" if least is None else f"could have shown {least:.2%}"
        print(f"{folds} folds that all lean one way have p = {2.0 ** (1 - folds):.4f}: they {told}.")


if __name__ == "__main__":
    main(*sys.argv[1:])

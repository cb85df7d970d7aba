"""Compare two benchmark records: which differences are significant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from allkit.benchmark.record.paired import paired_accuracies
from allkit.benchmark.record.record import Record, seen
from allkit.benchmark.record.series import medians
from allkit.errors import AllkitError
from allkit.metrics import SIGNIFICANT, Interval, holm, least_difference, mann_whitney_exact, unpaired_ratio

_ACCURACY = "accuracy"
# Machines are considered the same if these agree.
_IDENTITY = ("processor", "cores", "memory_gib", "gpu")


@dataclass(frozen=True)
class Change:
    """A measure of one model in two records.

    first, second: medians of the rounds, or accuracies. ratio: second to first, None for accuracies and when there are
    too few rounds for an interval. p_value: adjusted by Holm over all measures compared.
    """

    model: str
    measure: str
    first: float
    second: float
    ratio: Interval | None
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether the adjusted p value is below 0.05."""
        return self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class Comparison:
    """All measures that two records have in common, and remarks on what else differs."""

    changes: list[Change]
    remarks: list[str]


def compare_records(first: Record, second: Record) -> Comparison:
    """Compare every measure that both records have.

    The observations are rounds, not queries: queries of one round share the state of the machine, and thousands of them
    would make trivial differences significant. Accuracies on the same images are compared by the exact paired test.
    Raises AllkitError when the records are of different machines or have nothing in common.
    """
    if found := list(_differences(first["machine"], second["machine"], _IDENTITY)):
        raise AllkitError(
            f"the records are of different machines ({'; '.join(found)}), so the comparison would be of the machines: "
            "give two records of one machine"
        )
    others = {row["model"]: row for row in second["rows"] if "error" not in row}
    pairs = [(row, others[row["model"]]) for row in first["rows"] if "error" not in row and row["model"] in others]
    changes = [change for a, b in pairs for change in _changes(a, b)]
    if not changes:
        raise AllkitError("the records have no measured model in common")
    adjusted = holm([change.p_value for change in changes])
    changes = [replace(change, p_value=p) for change, p in zip(changes, adjusted, strict=True)]
    # By Holm, a significant accuracy no longer counts against the rounds.
    left = sum(change.measure != _ACCURACY or not change.significant for change in changes)
    remarks = [*_too_few(first, second, left), *_unseen(changes, pairs), *_remarks(first, second, pairs)]
    return Comparison(changes, remarks)


def _changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Change]:
    series, others = _series(first), _series(second)
    for measure in (name for name in series if name in others):
        a, b = medians(series[measure]), medians(others[measure])
        middles = float(np.median(a)), float(np.median(b))
        yield Change(first["model"], measure, *middles, unpaired_ratio(b, a), mann_whitney_exact(a, b))
    judged = all(row.get("accuracy") and not seen(row) for row in (first, second))
    if judged and (found := paired_accuracies(first["accuracy"], second["accuracy"])):
        shares = found.accuracy_a.value, found.accuracy_b.value
        yield Change(first["model"], _ACCURACY, *shares, None, found.p_value)


def _series(row: Mapping[str, Any]) -> dict[str, list]:
    single = {"model ms": row["single"]["model_ms"], "file to result ms": row["single"]["end_to_end_ms"]}
    offline = {f"images/s at batch {batch}": rounds for batch, rounds in row["offline"].items()}
    return {name: rounds for name, rounds in {**single, **offline}.items() if rounds}


def _too_few(first: Record, second: Record, measures: int) -> Iterator[str]:
    counts = [record["settings"]["rounds"] for record in (first, second)]
    apart = mann_whitney_exact(np.arange(counts[0]), counts[0] + np.arange(counts[1]))
    # Holm multiplies the smallest p value by the number of measures.
    if apart * measures >= SIGNIFICANT:
        yield (
            f"{counts[0]} and {counts[1]} rounds are too few for {measures} measures: even rounds that do not "
            "overlap would not be significant; measure with more --rounds, or fewer models"
        )


def _unseen(changes: list[Change], pairs: list[tuple[Mapping, Mapping]]) -> Iterator[str]:
    """For each accuracy of a changed file without a significant difference, the smallest that could have been."""
    others = {row["model"]: row for row, other in pairs if row["sha256"] != other["sha256"]}
    unseen = (change for change in changes if change.measure == _ACCURACY and not change.significant)
    for change in (change for change in unseen if change.model in others):
        found = others[change.model]["accuracy"]
        n, groups = found["metrics"]["n"], found.get("groups")
        least = least_difference(n, groups and len(set(groups)), len(changes))
        size = f"below {least:.2%}" if least else "of any size"
        yield f"{change.model}: an accuracy difference {size} cannot be significant on {n} images in this comparison"


def _remarks(first: Record, second: Record, pairs: list[tuple[Mapping, Mapping]]) -> Iterator[str]:
    for row, other in pairs:
        for key, name in (("sha256", "the file"), ("provider", "the provider"), ("plans", "the plan")):
            if row[key] != other[key]:
                told = f": {row[key]} and {other[key]}" if key == "provider" else ""
                yield f"{row['model']}: {name} differs{told}"
    for key in ("data", "settings"):
        yield from (f"{key}, {found}" for found in _differences(first[key], second[key], first[key] | second[key]))
    yield from _differences(first["machine"], second["machine"], ("libraries", "python", "system", "governor"))
    yield (
        "each record is one run: p values do not include variation between runs, such as clocks, memory or other load; "
        "repeat an important comparison with a second pair"
    )


def _differences(first: Mapping[str, Any], second: Mapping[str, Any], keys: Iterable[str]) -> Iterator[str]:
    """One line per key whose values differ."""
    for key in keys:
        if first.get(key) != second.get(key):
            yield f"{key.replace('_', ' ')}: {first.get(key)} and {second.get(key)}"

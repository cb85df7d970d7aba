"""Methods side by side: the record of `benchmarks/comparators.py`, as the type that it is read back as, and its tables.

For each method what its paper says of it, copied, and what was measured here: accuracy on the same images under two
protocols, size and speed on one machine in one run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from allkit.benchmark.record.record import undominated
from allkit.metrics import SIGNIFICANT, Interval
from allkit.metrics.records import ShareRecord
from allkit.report.table import PAIR_HEADER, Table, not_shown, pair_row
from allkit.support.reading import Count, NotNegative, Positive, Share, Text

_PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True)
class CopiedRecord:
    """An accuracy that a paper states, in per cent as printed, of images and a split of its own."""

    source: Text
    accuracy: Annotated[float, Meta(ge=0, le=100)]
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'> ' if self.at_least else ''}{self.accuracy:g} ({self.source})"


@dataclass(frozen=True)
class ResultRecord:
    """On the test images of a split, or of the pooled folds of one."""

    n: Count
    groups: Count
    accuracy: ShareRecord


@dataclass(frozen=True)
class SpeedRecord:
    """An exported file. ms: the model alone, one image, median. images_per_s: from file to result, the best batch."""

    mib: Positive
    ms: Positive
    end_to_end_ms: Positive
    images_per_s: Positive
    accuracy: ShareRecord | None


@dataclass(frozen=True)
class MethodRecord:
    """A method. training: in words, what it begins with and how long it learns. copied: what papers say of it. random,
    grouped, hardest: accuracy on the random split, on five grouped folds, and on the hardest two of these. None: not
    measured."""

    name: Text
    title: Text
    training: Text | None
    size_px: Count | None
    copied: list[CopiedRecord]
    random: ResultRecord | None
    grouped: ResultRecord | None
    hardest: ResultRecord | None
    parameters: Count | None
    gmac: NotNegative | None
    speed: dict[Literal["fp32", "int8"], SpeedRecord]


@dataclass(frozen=True)
class PairRecord:
    """Two methods, by title, on the same test images. p_value: adjusted by Holm over all pairs of these images."""

    images: Text
    first: Text
    second: Text
    n: Count
    groups: Count
    only_first_right: Count
    only_second_right: Count
    p_value: Share


@dataclass(frozen=True)
class ComparisonRecord:
    """`benchmarks/results/comparators.json`.

    hardest: the numbers of the two grouped folds on which all methods are compared. note: what else has to be known.
    machine: where speeds were measured, in words. front: `front_of` the methods.
    """

    schema_version: Literal[1]
    command: Text
    hardest: list[Count]
    note: Text
    machine: Text | None
    methods: Annotated[list[MethodRecord], Meta(min_length=1)]
    front: list[Text]
    pairs: list[PairRecord]


def comparison_tables(record: ComparisonRecord) -> list[Table]:
    """Accuracies, costs, and paired tests."""
    return [_accuracies(record), _costs(record), _pairs(record.pairs)]


def percent(result: ResultRecord | None) -> str:
    """An accuracy with its interval."""
    return _interval(result.accuracy) if result else "-"


def fastest(method: MethodRecord) -> SpeedRecord:
    """Its fastest file."""
    return min(method.speed.values(), key=lambda file: file.end_to_end_ms)


def front_of(methods: Iterable[MethodRecord]) -> set[str]:
    """The methods, by name, that none exceeds in both accuracy on all grouped folds and latency from file to result."""
    placed = [
        (method.name, fastest(method).end_to_end_ms, method.grouped.accuracy.value)
        for method in methods
        if method.grouped and method.speed
    ]
    return undominated(placed)


def by_accuracy(methods: Iterable[MethodRecord]) -> list[MethodRecord]:
    """The most accurate on grouped folds first; then what was measured on two of them, and what was not at all."""

    def place(method: MethodRecord) -> tuple[bool, bool, float]:
        found = method.grouped or method.hardest
        return method.grouped is None, found is None, -found.accuracy.value if found else 0.0

    return sorted(methods, key=place)


def _interval(share: ShareRecord) -> str:
    return Interval(share.value, share.low, share.high).percent(2)


def _accuracies(record: ComparisonRecord) -> Table:
    folds = " and ".join(map(str, record.hardest))
    header = ("method", "its paper, %", "random split", "grouped folds", f"folds {folds}")
    rows = [
        (
            f"{method.title} *" if method.name in record.front else method.title,
            "; ".join(map(str, method.copied)) or "-",
            percent(method.random),
            percent(method.grouped),
            percent(method.hardest),
        )
        for method in by_accuracy(record.methods)
    ]
    note = (
        "Accuracies with 95 % intervals that respect groups of similar images; grouped folds keep neighbouring files "
        "together. Figures of papers are copied; each is of images and a split of its own, and none can be compared "
        "with the others. *: on the Pareto front of accuracy on grouped folds and latency from file to result. "
        f"{record.note}"
    )
    return Table("Methods, after Table 2 of the paper", header, rows, note)


def _costs(record: ComparisonRecord) -> Table:
    of_files = [f"{precision} {what}" for precision in _PRECISIONS for what in ("MiB", "ms", "images/s", "accuracy")]
    header = ("method", "training", "px", "parameters", "GMAC", *of_files)
    rows = [
        (
            method.title,
            method.training,
            str(method.size_px or "-"),
            "-" if method.parameters is None else f"{method.parameters:,}",
            "-" if method.gmac is None else f"{method.gmac:.3f}",
            *(cell for precision in _PRECISIONS for cell in _of_file(method.speed.get(precision))),
        )
        for method in by_accuracy(method for method in record.methods if method.training)
    ]
    note = (
        "ms: the model alone, one image, median; images/s from file to result at the best batch size; accuracy of the "
        f"file on the random test part. All in one run{f' on {record.machine}' if record.machine else ''}."
    )
    return Table("What the methods learn from and cost", header, rows, note)


def _of_file(file: SpeedRecord | None) -> tuple[str, ...]:
    if file is None:
        return ("-",) * 4
    accuracy = _interval(file.accuracy) if file.accuracy else "-"
    return f"{file.mib:.2f}", f"{file.ms:.2f}", f"{file.images_per_s:.0f}", accuracy


def _pairs(pairs: Sequence[PairRecord]) -> Table:
    rows = [
        (
            pair.images,
            *pair_row(
                pair.first,
                pair.second,
                f"{pair.n:,}",
                pair.only_first_right,
                pair.only_second_right,
                pair.p_value,
            ),
        )
        for pair in pairs
    ]
    note = (
        "Exact paired test on the same test images, which changes A and B by group of similar images, adjusted by Holm "
        f"over all pairs of these images.{_unseen(pairs)}"
    )
    return Table("Differences between methods", ("images", *PAIR_HEADER), rows, note)


def _unseen(pairs: Sequence[PairRecord]) -> str:
    """What "no" leaves open."""
    counts = Counter(pair.images for pair in pairs)
    return not_shown((pair.n, pair.groups, counts[pair.images]) for pair in pairs if pair.p_value >= SIGNIFICANT)

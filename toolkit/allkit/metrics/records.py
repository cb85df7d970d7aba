"""The parts that records of several commands share, as types for reading them back.

A record may be read years later on another machine, or after editing. The types state what the reading code relies on;
a field that may be absent is UNSET. Contradictions are refused, because they would be displayed as results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from allkit.support.reading import Count, Share, Text


@dataclass(frozen=True)
class Versioned:
    """Any record with a schema version."""

    schema_version: int


# A correlation may be negative.
_Figure = Annotated[float, Meta(ge=-1 - 1e-9, le=1 + 1e-9)]
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ShareRecord:
    """A share with its Wilson interval."""

    value: Share
    low: Share
    high: Share

    def __post_init__(self):
        if not self.low - _ROUNDING <= self.value <= self.high + _ROUNDING:
            raise ValueError(f"the share {self.value} is not inside its interval")


@dataclass(frozen=True)
class FigureRecord:
    """A metric with its bootstrap interval, which need not contain it."""

    value: _Figure
    low: _Figure
    high: _Figure


@dataclass(frozen=True)
class BaselineRecord(ShareRecord):
    """The accuracy of a method that sees no shape on the same images."""

    method: Text


@dataclass(frozen=True)
class ClassRecord:
    """The metrics of one class."""

    recall: ShareRecord | None
    precision: ShareRecord | UnsetType | None = UNSET
    f1: Share | UnsetType | None = UNSET
    support: Count | UnsetType = UNSET
    auroc: Share | UnsetType | None = UNSET


@dataclass(frozen=True)
class ScreeningRecord:
    """The positive classes against the rest."""

    sensitivity: ShareRecord | None
    specificity: ShareRecord | None
    positive: list[Text] | UnsetType = UNSET


@dataclass(frozen=True)
class MetricsRecord:
    """`metrics.Metrics` as a record."""

    n: Annotated[int, Meta(ge=1, le=2**48)]
    accuracy: ShareRecord
    precision: Share | None
    recall: Share
    f1: Share
    mcc: _Figure | None
    per_class: Annotated[dict[Text, ClassRecord], Meta(min_length=1, max_length=10_000)]
    confusion: list[list[Count]]
    groups: Count | UnsetType | None = UNSET
    balanced_accuracy: Share | UnsetType = UNSET
    macro: dict[Text, Share | None] | UnsetType = UNSET
    auroc: Share | UnsetType | None = UNSET
    malignant_vs_benign: ScreeningRecord | UnsetType | None = UNSET
    positive_vs_rest: ScreeningRecord | UnsetType | None = UNSET
    intervals: dict[Text, FigureRecord] | UnsetType = UNSET

    def __post_init__(self):
        k = len(self.per_class)
        if len(self.confusion) != k or any(len(row) != k for row in self.confusion):
            raise ValueError(f"the confusion matrix is not {k} x {k}")
        if sum(map(sum, self.confusion)) != self.n:
            raise ValueError(f"the confusion matrix does not hold {self.n} images")


@dataclass(frozen=True)
class SplitRecord:
    """`Split.summary` as a record; only the protocol if no split was made."""

    protocol: Text | UnsetType = UNSET
    parameters: dict[Text, Any] | UnsetType = UNSET
    hash: Text | UnsetType = UNSET
    n: dict[Text, Count] | UnsetType = UNSET
    groups: Count | UnsetType = UNSET


@dataclass(frozen=True)
class NamedSplitRecord(SplitRecord):
    """A split whose protocol is required."""

    def __post_init__(self):
        if self.protocol is UNSET:
            raise ValueError("the split has no protocol")

"""The fields of a record of `allkit evaluate --json` that a report shows, as types for reading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from allkit.metrics.records import BaselineRecord, MetricsRecord, NamedSplitRecord
from allkit.model.trained_on import TrainedOn
from allkit.support.reading import Share, Text


@dataclass(frozen=True)
class ShiftedShare:
    """An accuracy under a shift."""

    value: Share


@dataclass(frozen=True)
class ShiftRowRecord:
    """One row of the suite of shifts."""

    name: Text
    accuracy: ShiftedShare


@dataclass(frozen=True)
class ShiftsRecord:
    """The suite: the unshifted images first, then one row per shift."""

    rows: Annotated[list[ShiftRowRecord], Meta(min_length=1, max_length=1000)]


@dataclass(frozen=True)
class UncertaintyRecord:
    """How well the model's uncertainty estimates hold on the same images."""

    calibration_error: Share


@dataclass(frozen=True)
class EvaluationRecord:
    """One model on labelled images. sha256: of the file; absent in early records."""

    model: Text
    part: Text
    split: NamedSplitRecord | None
    seen_in_training: Literal["no", "yes", "maybe", "unknown"]
    metrics: MetricsRecord
    baseline: BaselineRecord
    doubt: UncertaintyRecord
    sha256: Text | UnsetType = UNSET
    shifts: ShiftsRecord | UnsetType = UNSET
    trained_on: TrainedOn | UnsetType | None = UNSET


@dataclass(frozen=True)
class EvaluationsRecord:
    """Several models on the same images."""

    evaluations: Annotated[list[EvaluationRecord], Meta(min_length=1)]

"""`metrics.json` of a run or a cross-validation, as the type that it is read back as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from allkit.imaging.pixel_path import PixelPath
from allkit.metrics.records import BaselineRecord, MetricsRecord, NamedSplitRecord, ShareRecord
from allkit.runs.recipe import Recipe
from allkit.support.reading import Count, NotNegative, Text


@dataclass(frozen=True)
class PublicSettings:
    """`Settings.public` as a record."""

    architecture: Text
    pixels: PixelPath
    width: Annotated[float, Meta(gt=0, le=4)]
    seed: Count
    recipe: dict[Text, Any]
    classes: Annotated[list[Text], Meta(min_length=2)]
    schema_version: Literal[1] = 1

    def __post_init__(self):
        Recipe.from_dict(self.recipe)
        if not {"name", "epochs"} <= self.recipe.keys():
            raise ValueError("the recipe has no name or no epochs")


@dataclass(frozen=True)
class FoldRecord:
    """One fold of a cross-validation."""

    n: dict[Text, Count]
    hash: Text
    accuracy: ShareRecord
    baseline: BaselineRecord
    training_seconds: NotNegative


@dataclass(frozen=True)
class PredictionsRecord:
    """Every test image: its group, true and predicted class by number, and whether the colour baseline was right."""

    path: list[Text]
    group: list[Count]
    truth: list[Count]
    predicted: list[Count]
    baseline_right: list[bool]

    def __post_init__(self):
        if len({len(self.path), len(self.group), len(self.truth), len(self.predicted), len(self.baseline_right)}) > 1:
            raise ValueError("the columns of the predictions have different lengths")


@dataclass(frozen=True)
class TrainingRecord:
    """The record of a finished training; `folds` only in that of a cross-validation."""

    schema_version: Literal[1]
    part: Text
    metrics: MetricsRecord
    baseline: BaselineRecord
    training_seconds: NotNegative
    device: Text
    settings: PublicSettings
    split: NamedSplitRecord
    data_fingerprint: Text
    parameters: Count
    versions: dict[Text, Text]
    folds: Annotated[list[FoldRecord], Meta(min_length=1)] | UnsetType = UNSET
    predictions: PredictionsRecord | UnsetType = UNSET
    note: Text | UnsetType = UNSET

    def __post_init__(self):
        if list(self.metrics.per_class) != self.settings.classes:
            raise ValueError("the metrics are of other classes than the settings")

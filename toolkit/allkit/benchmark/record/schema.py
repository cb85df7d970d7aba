"""Types for reading a record of `allkit bench`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from allkit.metrics.records import BaselineRecord, MetricsRecord, SplitRecord
from allkit.model.trained_on import TrainedOn
from allkit.support.reading import Count, NotNegative, Positive, Share, Text

# Of a query and of a batch; none takes less than a nanosecond.
_Milliseconds = Annotated[float, Meta(ge=1e-6, le=1e9)]
_Rate = Annotated[float, Meta(ge=1e-6, le=1e12)]
_Difference = Annotated[float, Meta(ge=-1, le=1)]
_Batch = Annotated[str, Meta(pattern="^[1-9][0-9]{0,6}$")]

# An unfinished round has no list. An exact rank-sum test takes too long for many more rounds than bench allows.
_Times = Annotated[list[Annotated[list[_Milliseconds], Meta(min_length=1)]], Meta(max_length=20)]
_Rates = Annotated[list[Annotated[list[_Rate], Meta(min_length=1)]], Meta(max_length=20)]


@dataclass(frozen=True)
class SingleRecord:
    """Latencies of single images, one list per round."""

    model_ms: _Times
    end_to_end_ms: _Times


@dataclass(frozen=True)
class AccuracyRecord:
    """`AccuracyMeasurement.evaluate` as a record."""

    part: Text
    data_fingerprint: Text
    split: SplitRecord | None
    seen_in_training: Literal["no", "yes", "maybe", "unknown"]
    metrics: MetricsRecord
    baseline: BaselineRecord
    wrong: list[Count]
    groups: list[Count] | UnsetType | None = UNSET
    measured: Text | UnsetType = UNSET
    trained_on: TrainedOn | UnsetType | None = UNSET

    def __post_init__(self):
        n = self.metrics.n
        if self.groups and len(self.groups) != n:
            raise ValueError(f"there are groups of {len(self.groups)} images, not of {n}")
        if len(set(self.wrong)) < len(self.wrong) or max(self.wrong, default=0) >= n:
            raise ValueError("a wrong prediction is listed twice, or is of an image that was not measured")
        if round(self.metrics.accuracy.value * n) != n - len(self.wrong):
            raise ValueError("the accuracy does not match the number of wrong predictions")


@dataclass(frozen=True)
class AgainstRecord:
    """The accuracy compared with the float32 file of the same run."""

    parent: Text
    difference: _Difference
    p_value: Share


@dataclass(frozen=True)
class RowRecord:
    """One model. If it failed, `error` says why, and other fields may be missing."""

    model: Text
    error: Text | UnsetType = UNSET
    sha256: Text | UnsetType = UNSET
    size_px: Annotated[int, Meta(ge=1, le=2**16)] | UnsetType = UNSET
    width: Annotated[float, Meta(gt=0, le=1000)] | UnsetType = UNSET
    precision: Text | UnsetType = UNSET
    mib: NotNegative | UnsetType = UNSET
    gmac: NotNegative | UnsetType = UNSET
    origin: list[Any] | UnsetType = UNSET
    provider: Text | UnsetType = UNSET
    notice: Text | UnsetType | None = UNSET
    plans: dict[Text, dict[Text, Any]] | UnsetType = UNSET
    single: SingleRecord | UnsetType = UNSET
    offline: dict[_Batch, _Rates] | UnsetType = UNSET
    joules_per_image: list[NotNegative] | UnsetType | None = UNSET
    start_s: NotNegative | UnsetType | None = UNSET
    load_s: NotNegative | UnsetType | None = UNSET
    first_run_s: NotNegative | UnsetType | None = UNSET
    peak_mib: NotNegative | UnsetType | None = UNSET
    accuracy: AccuracyRecord | UnsetType | None = UNSET
    accuracy_error: Text | UnsetType = UNSET
    against_parent: AgainstRecord | UnsetType | None = UNSET

    def __post_init__(self):
        if self.error == "":
            raise ValueError("the error of a row is empty")
        if self.origin is not UNSET and not (self.origin and isinstance(self.origin[0], str)):
            raise ValueError(f"the origin of {self.model} does not begin with an architecture")
        absent = {field.name for field in fields(self) if getattr(self, field.name) is UNSET}
        # A model that could not be opened has a name and an error; one that was opened also has the fields of _OPENED.
        needed = _MEASURED if self.error is UNSET else _OPENED if self.single is not UNSET else set()
        if missing := absent & needed:
            raise ValueError(f"the row of {self.model} has no {min(missing)}")


_OPENED = {"sha256", "size_px", "width", "precision", "mib", "gmac", "origin", "provider", "notice", "plans", "offline"}
_MEASURED = {*_OPENED, "single", "start_s", "load_s", "first_run_s", "peak_mib"}


@dataclass(frozen=True)
class MachineRecord:
    """`machine.facts` as a record."""

    processor: Text
    cores: Annotated[int, Meta(ge=1, le=2**20)]
    flags: list[Text]
    memory_gib: NotNegative | None
    gpu: Text | None
    system: Text
    python: Text
    libraries: dict[Text, Text]
    governor: Text | None
    load: NotNegative | None
    peak_gops: dict[Text, Positive] | UnsetType = UNSET


@dataclass(frozen=True)
class SettingsRecord:
    """The options of the measurement."""

    device: Text
    batches: list[Count]
    seconds: NotNegative
    queries: Count
    rounds: Annotated[int, Meta(ge=1, le=20)]


@dataclass(frozen=True)
class DataRecord:
    """The images of the queries."""

    kind: Text
    files: Count
    root: Text | UnsetType = UNSET


@dataclass(frozen=True)
class BenchRecord:
    """A benchmark of at least one model; the name of the model identifies a row."""

    schema_version: int
    time: Text
    settings: SettingsRecord
    machine: MachineRecord
    data: DataRecord
    rows: Annotated[list[RowRecord], Meta(min_length=1, max_length=500)]

    def __post_init__(self):
        if len({row.model for row in self.rows}) < len(self.rows):
            raise ValueError("two rows have the same model")

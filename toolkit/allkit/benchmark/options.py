"""The options of a benchmark, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BenchOptions:
    """What `bench` measures.

    models: ONNX files that allkit exported; none for all in exported/. data: folder with one sub-folder of images per
    class, for queries and accuracy; None for synthetic smears and no accuracy. split: a split.json on whose test part
    accuracy is measured, in place of that of each model. device: as for `Classifier`. batches: batch sizes of the
    throughput, empty for that of the plan, 1 and 32. seconds and queries: the least of each scenario, over all rounds.
    rounds: how often all models take turns.
    """

    models: Sequence[Path | str] = ()
    data: Path | str | None = None
    split: Path | str | None = None
    device: str = "auto"
    batches: Sequence[int] = ()
    seconds: float = 5.0
    queries: int = 662
    rounds: int = 7

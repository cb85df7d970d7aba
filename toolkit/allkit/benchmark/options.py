"""The options of a benchmark, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BenchOptions:
    """What `bench` measures.

    models: ONNX files exported by allkit, or folders of them; empty for exported/. data: folder with one sub-folder of
    images per class, for queries and accuracy; None for synthetic smears and no accuracy. split: a split.json whose
    test part is used for accuracy instead of each model's own. device: as for `Classifier`. batches: batch sizes for
    throughput; empty for 1, 32 and that of the plan. seconds, queries: minimum per scenario, over all rounds. rounds:
    number of turns each model takes.
    """

    models: Sequence[Path | str] = ()
    data: Path | str | None = None
    split: Path | str | None = None
    device: str = "auto"
    batches: Sequence[int] = ()
    seconds: float = 5.0
    queries: int = 662
    rounds: int = 7

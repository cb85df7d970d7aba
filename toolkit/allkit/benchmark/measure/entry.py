"""One model under measurement: validation and queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from allkit.benchmark.measure.energy import Meter
from allkit.benchmark.measure.scenarios import offline, single
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import stack
from allkit.model.graph import read_graph, summarise
from allkit.runtime.classifier import Classifier
from allkit.runtime.plan import Plan
from allkit.runtime.session import Model
from allkit.support.files import content_hash
from allkit.support.text import visible

# Largest difference between an image alone and in a batch: float16 and int8 kernels may depend on the batch size.
_TOLERANCE = 2e-2
_CHECKED = 8

# Images of the scenario without decoding.
_PIXELS = 64

# With fewer batches per worker, a pass consists mostly of its start and end.
_LEAST_BATCHES = 2

# Batch sizes besides that of the plan.
_BATCHES = (1, 32)


class Entry:
    """A model, opened as `classify` opens it; AllkitError when that fails.

    row: the record so far, of plain types. files: real images; every query takes the next one.
    """

    def __init__(self, path: Path, device: str, batches: Sequence[int], files: Sequence[Path]):
        proto, contract = read_graph(path)
        self.files = files
        self.many = Classifier(path, device)
        batches = sorted({*(batches or (self.many.plan.batch_size, *_BATCHES))})
        self._plans = [replace(self.many.plan, batch_size=batch) for batch in batches]
        self._rates: dict[Plan, float] = {}
        self._waiting = cycle(files)
        self.one = Classifier(path, device, mode="latency")
        self._model = Model(path, device)
        self._pixels = stack([contract.pixels.load(file) for file in files[:_PIXELS]], contract.pixels.size_px)
        self.row: dict[str, Any] = {
            "model": visible(path.name),
            "sha256": content_hash(path),
            "size_px": contract.pixels.size_px,
            "width": contract.width,
            "precision": contract.precision,
            "mib": round(path.stat().st_size / 2**20, 3),
            "gmac": round(summarise(proto).macs / 1e9, 4),
            "origin": [contract.architecture, contract.data_fingerprint, contract.split.get("hash"), contract.recipe],
            "provider": self.one.provider,
            "notice": self.one.notice,
            "plans": {str(plan.batch_size): asdict(plan) for plan in self._plans},
            "single": {"model_ms": [], "end_to_end_ms": []},
            "offline": {str(plan.batch_size): [] for plan in self._plans},
            "joules_per_image": [],
        }

    def validate(self) -> None:
        """Raise AllkitError unless the outputs are finite and the same in a batch as for single images."""
        some = self._pixels[:_CHECKED]
        together = self._model.run(some).probabilities
        alone = np.concatenate([self._model.run(image[None]).probabilities for image in some])
        if not np.isfinite([together, alone]).all():
            raise AllkitError("its probabilities are not finite: export it again")
        if (difference := float(np.abs(together - alone).max())) > _TOLERANCE:
            raise AllkitError(
                f"its answers in a batch differ from those for single images by up to {difference:.3f}: export it again"
            )

    def warm_up(self, seconds: float) -> None:
        """Run uncounted queries until caches, clocks and thread pools have settled."""
        single(self._query_model, 0, seconds, 3)
        single(self._query, 0, seconds, 3)
        for plan in self._plans:
            count = plan.workers * plan.batch_size
            (self._rates[plan],) = offline(lambda plan=plan, count=count: self._pass(plan, count), 0)

    def measure(self, round_: int, seconds: float, queries: int) -> None:
        """Add one round of every scenario to the row, each of at least `seconds` and `queries`."""
        first = round_ * queries
        for name, query in (("model_ms", self._query_model), ("end_to_end_ms", self._query)):
            times = single(query, first, seconds, queries)
            self.row["single"][name].append([round(1000 * time, 4) for time in times])
        for plan in self._plans:
            least = max(queries, _LEAST_BATCHES * plan.workers * plan.batch_size)
            # If the model is fast enough, one long pass: start and end then weigh least.
            least = max(least, round(self._rates[plan] * seconds))
            meter = Meter()
            rates = offline(lambda plan=plan, least=least: self._pass(plan, least), seconds)
            joules = meter.joules()
            if joules is not None:
                self.row["joules_per_image"].append(joules / (len(rates) * least))
            self.row["offline"][str(plan.batch_size)].append([round(rate, 2) for rate in rates])

    def _query_model(self, number: int) -> None:
        place = number % len(self._pixels)
        self._model.run(self._pixels[place : place + 1])

    def _query(self, number: int) -> None:
        for prediction in self.one([self.files[number % len(self.files)]]):
            _check(prediction)

    def _pass(self, plan: Plan, count: int) -> int:
        self.many.plan = plan
        for prediction in self.many([*islice(self._waiting, count)]):
            _check(prediction)
        return count


def _check(prediction) -> None:
    if prediction.error is not None:
        raise AllkitError(prediction.error)

"""One model under measurement: what it is, whether it works, and its queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from allkit.bench.energy import Meter
from allkit.bench.scenarios import offline, single
from allkit.errors import AllkitError
from allkit.files import content_hash
from allkit.graph import read_graph, summarise
from allkit.images import stack
from allkit.runtime.classifier import Classifier
from allkit.runtime.session import Model

# Of one image alone and the same image in a batch. float16 and int8 kernels may differ with the batch.
_TOLERANCE = 2e-2
_CHECKED = 8

# A pass over fewer images is mostly beginning and end.
_LEAST_FILES = 200


class Entry:
    """A model, opened as `classify` opens it. Raises AllkitError when it cannot be.

    row: the record so far, plain types. files: real images; every query takes the next one.
    """

    def __init__(self, path: Path, device: str, batches: Sequence[int], files: Sequence[Path]):
        proto, contract = read_graph(path)
        self.files = files
        self.many = {batch: Classifier(path, device, batch or None) for batch in batches or (0,)}
        self.one = Classifier(path, device, mode="latency")
        self._model = Model(path, device)
        self._pixels = stack([contract.pixels.load(file) for file in files[:64]], contract.pixels.size_px)
        self.row: dict[str, Any] = {
            "model": path.name,
            "sha256": content_hash(path),
            "size_px": contract.pixels.size_px,
            "width": contract.width,
            "precision": contract.precision,
            "mib": round(path.stat().st_size / 2**20, 3),
            "gmac": round(summarise(proto).macs / 1e9, 4),
            "origin": [contract.architecture, contract.data_fingerprint, contract.split.get("hash"), contract.recipe],
            "provider": self.one.provider,
            "notice": self.one.notice,
            "plans": {str(classifier.plan.batch_size): vars(classifier.plan) for classifier in self.many.values()},
            "single": {"model_ms": [], "end_to_end_ms": []},
            "offline": {str(classifier.plan.batch_size): [] for classifier in self.many.values()},
            "joules_per_image": [],
        }

    def validate(self) -> None:
        """Whether answers are finite and the same alone as in a batch; AllkitError when not."""
        some = self._pixels[:_CHECKED]
        together = self._model.run(some).probabilities
        alone = np.concatenate([self._model.run(image[None]).probabilities for image in some])
        if not np.isfinite([together, alone]).all():
            raise AllkitError("its probabilities are not finite: export it again")
        if (difference := float(np.abs(together - alone).max())) > _TOLERANCE:
            raise AllkitError(f"it answers otherwise in a batch than alone, by up to {difference:.3f}: export it again")

    def warm_up(self, seconds: float) -> None:
        """Queries that are not counted: caches, clocks and thread pools settle."""
        single(self._query_model, 0, seconds, 3)
        single(self._query, 0, seconds, 3)

    def measure(self, round_: int, rounds: int, seconds: float, queries: int) -> None:
        """One round of every scenario, of at least so many seconds and queries each, added to the row."""
        first = round_ * queries
        # Every round has its share of the files, in which all classes occur.
        files = self.files[round_::rounds] if len(self.files) >= _LEAST_FILES * rounds else self.files
        for name, query in (("model_ms", self._query_model), ("end_to_end_ms", self._query)):
            times = single(query, first, seconds, queries)
            self.row["single"][name].append([round(1000 * time, 4) for time in times])
        for classifier in self.many.values():
            meter = Meter()
            rates = offline(lambda classifier=classifier: self._pass(classifier, files), seconds)
            joules = meter.joules()
            if joules is not None:
                self.row["joules_per_image"].append(joules / (len(rates) * len(files)))
            self.row["offline"][str(classifier.plan.batch_size)].append([round(rate, 2) for rate in rates])

    def _query_model(self, number: int) -> None:
        place = number % len(self._pixels)
        self._model.run(self._pixels[place : place + 1])

    def _query(self, number: int) -> None:
        for prediction in self.one([self.files[number % len(self.files)]]):
            _check(prediction)

    def _pass(self, classifier: Classifier, files: Sequence[Path]) -> int:
        for prediction in classifier(files):
            _check(prediction)
        return len(files)


def _check(prediction) -> None:
    if prediction.error is not None:
        raise AllkitError(prediction.error)

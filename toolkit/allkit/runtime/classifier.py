"""The public API: images in, predictions out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from allkit.contract import Contract
from allkit.errors import AllkitError
from allkit.runtime.pipeline import Source, run_in_batches
from allkit.runtime.session import Model

EXPORT_FOLDER = Path("exported")


@dataclass(frozen=True)
class Prediction:
    """What the model says about one image, or why it could not be asked.

    label: the class of the highest probability. confidence: that probability. probabilities: class
    name to probability, in the model's order. error: None, or the reason; then label and confidence
    are None and probabilities is empty.
    """

    label: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    error: str | None = None


class Classifier:
    """An exported model as a function over images.

    model: an ONNX file made by `allkit export`; None takes the newest in ./exported. device: auto, cpu,
    cuda or tensorrt; auto takes CUDA where a session gets it, else the CPU, and says so in `notice`.
    batch_size: images a run of the model. Raises AllkitError when there is no such model, when the
    file is damaged or has no contract, or when a GPU named explicitly does not work.

    model_path: the file in use. contract: what the model says of itself. notice: one line about a
    fallback to the CPU, or None.

    >>> for prediction in Classifier()(["smear.jpg"]):
    ...     print(prediction.label, prediction.confidence)
    """

    def __init__(self, model: Path | str | None = None, device: str = "auto", batch_size: int = 32):
        if batch_size < 1:
            raise AllkitError(f"batch size {batch_size} is out of range: give 1 or more")
        self._model = Model(newest_model() if model is None else model, device)
        self._batch_size = batch_size
        self.model_path: Path = self._model.path
        self.contract: Contract = self._model.contract
        self.notice: str | None = self._model.notice

    @property
    def provider(self) -> str:
        """The execution provider that the session reports, such as CPUExecutionProvider."""
        return self._model.provider

    def __call__(self, images: Iterable[Source]) -> Iterator[Prediction]:
        """One prediction an image, lazily and in order.

        images: paths, encoded bytes or RGB uint8 arrays (H, W, 3), in any mixture; the iterable may be
        endless, at most two batches are read ahead. An image that cannot be read yields a prediction
        with `error` in its place.
        """
        if isinstance(images, str | bytes):
            raise AllkitError("give a list of images, [image], not one image")
        return map(self._prediction, run_in_batches(images, self.contract.pixels, self._model.run, self._batch_size))

    def _prediction(self, row: np.ndarray | AllkitError) -> Prediction:
        if isinstance(row, AllkitError):
            return Prediction(error=str(row))
        if not np.isfinite(row).all():
            return Prediction(error="the model gave no finite probabilities: export the model again")
        probabilities = dict(zip(self.contract.classes, row.tolist(), strict=True))
        label = self.contract.classes[int(row.argmax())]
        return Prediction(label, probabilities[label], probabilities)


def newest_model(folder: Path = EXPORT_FOLDER) -> Path:
    """The most recently written ONNX file of a folder; AllkitError when there is none."""
    # Hidden names are files that an export is still writing.
    models = [path for path in folder.glob("*.onnx") if not path.name.startswith(".")]
    if not models:
        raise AllkitError(f"no model in {folder.absolute()}: make one with `allkit export`, or give --model FILE")
    return max(models, key=lambda path: path.stat().st_mtime_ns)

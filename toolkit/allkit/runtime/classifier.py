"""The public API: images in, predictions out."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from allkit.errors import AllkitError
from allkit.imaging.limits import OnDamage
from allkit.imaging.pixel_path import PixelPath, check_bits, decode, read_bytes, refuse
from allkit.model.contract import Contract
from allkit.model.file import ModelFile, read_model
from allkit.model.training_images import Copy, TrainingImages
from allkit.runtime.default_model import check_default, default_model
from allkit.runtime.image import COLORS, as_source, is_one
from allkit.runtime.pipeline import Results, Source, run_in_batches
from allkit.runtime.plan import Plan, default_plan, gpu_plan
from allkit.runtime.profile import Profile
from allkit.runtime.providers import CPU
from allkit.runtime.session import Model
from allkit.runtime.tuning import tuned_plan

if TYPE_CHECKING:
    from allkit.runtime.image import Image

MODES = ("throughput", "latency")

# Tolerance for the sum of an image's probabilities; float16 has three decimal digits.
_SUM_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image, or why the image could not be read.

    label: the class with the highest probability. confidence: that probability. probabilities: class name to
    probability, in the model's order. prediction_set: the classes not ruled out at the model's coverage, possibly none.
    uncertain: the set is not exactly one class. distance: how far the image is from the training images. unfamiliar:
    the distance exceeds the model's threshold. heatmap: float32 (h, w), evidence for (positive) and against (negative)
    the label, if requested. trained_on: if requested, "exact" for a file the model was trained on, "near" for an image
    that looks like one, else None. error: None, or the reason; the rest is then None or empty. warning: None, or the
    fault of a damaged image that was read leniently; the label is based on what is left of it.
    """

    label: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    prediction_set: tuple[str, ...] = ()
    uncertain: bool | None = None
    distance: float | None = None
    unfamiliar: bool | None = None
    heatmap: np.ndarray | None = field(default=None, compare=False)
    error: str | None = None
    warning: str | None = None
    trained_on: Copy | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields of a row of `allkit classify` except the path, by the same names; one probability per class."""
        # float32 has about seven digits; the rest would be noise.
        probabilities = {name: round(value, 6) for name, value in self.probabilities.items()}
        return {
            "label": self.label,
            "confidence": None if self.confidence is None else round(self.confidence, 6),
            **probabilities,
            "error": self.error,
            "prediction_set": list(self.prediction_set) if self.error is None else None,
            "uncertain": self.uncertain,
            "unfamiliar": self.unfamiliar,
            "trained_on": self.trained_on,
            "warning": self.warning,
        }


class Classifier:
    """An exported model as a function of images.

    model: an ONNX file made by `allkit export`; None for the one named by ./exported/default, which `allkit export`
    writes, or else the one included in allkit. device: auto, cpu, cuda, tensorrt, or any other that onnxruntime was
    built with, such as openvino; auto uses CUDA if a session can be created with it, otherwise the CPU, and says so in
    `notice`. batch_size, workers, threads: images per run of the model, threads that each take whole batches from file
    to result, and threads that compute one run; None for the best known on this machine (`plan`). heatmaps: fill in
    `heatmap`; the model must have been exported with one. mode: throughput (many images) or latency (one at a time, on
    all cores). lenient: read what is left of damaged images, with a `warning` instead of an error. bits: number of
    bits, 8 to 16, that the values of 16-bit images use; None to rely on the file. mark_trained: fill in `trained_on`;
    the model must list its training images. color: channel order of arrays, "rgb", or "bgr" as in OpenCV. Raises
    AllkitError when there is no such model, when the file is damaged or has no contract, heat map or training images,
    or when an explicitly named GPU does not work.

    It may be called from several threads at once; `workers=1, threads=1` then leaves the division of the cores to them.

    heatmaps, lenient, bits, mark_trained: as given. model_path: the file in use. model_identity: hash of its content.
    chosen: why this file, if none was given, else None. contract: what the model states about itself. training_images:
    of its split, None if it does not list them. notice: one line about a fallback to the CPU or to slower kernels, or
    None. plan: how work is divided among cores. profile: where the time of the last call went, of the one that began
    last if there are several at once.

    >>> classify = Classifier()
    >>> classify("smear.jpg").label
    >>> for prediction in classify(["smear.jpg", "other.png"]):
    ...     print(prediction.label, prediction.confidence)
    """

    def __init__(
        self,
        model: Path | str | None = None,
        device: str = "auto",
        batch_size: int | None = None,
        heatmaps: bool = False,
        mode: str = "throughput",
        lenient: bool = False,
        bits: int | None = None,
        mark_trained: bool = False,
        color: str = "rgb",
        workers: int | None = None,
        threads: int | None = None,
    ):
        if color not in COLORS:
            raise AllkitError(f"unknown color {color!r}: give one of {', '.join(COLORS)}")
        if mode not in MODES:
            raise AllkitError(f"unknown mode {mode!r}: give one of {', '.join(MODES)}")
        given = {"batch_size": batch_size, "workers": workers, "threads": threads}
        given = {name: count for name, count in given.items() if count is not None}
        if bad := next((name for name, count in given.items() if count < 1), None):
            raise AllkitError(f"{bad.replace('_', ' ')} {given[bad]} is out of range: give 1 or more")
        check_bits(bits)
        default = default_model() if model is None else None
        file = read_model(default.path if default else model)
        if default:
            check_default(default, hashlib.sha256(file.data).hexdigest())
        self.chosen: str | None = default and default.why
        self._model, self.plan = _opened(file, device, mode, given)
        if heatmaps and self._model.contract.heatmap is None:
            raise AllkitError(f"{self._model.path.name} has no heat map: export it with --heatmap")
        self.training_images: TrainingImages | None = self._model.training_images
        if mark_trained and self.training_images is None:
            raise AllkitError(f"{self._model.path.name} does not list its training images: export it again")
        self.heatmaps, self.lenient, self.bits, self.mark_trained = heatmaps, lenient, bits, mark_trained
        self._color = color
        self.model_path: Path = self._model.path
        self.model_identity: str = self._model.identity
        self.contract: Contract = self._model.contract
        self.notice: str | None = self._model.notice
        self.profile = Profile()

    @property
    def provider(self) -> str:
        """The execution provider that the session reports, such as CPUExecutionProvider."""
        return self._model.provider

    @overload
    def __call__(self, images: Image) -> Prediction: ...

    @overload
    def __call__(self, images: Iterable[Image]) -> Results[Prediction]: ...

    def __call__(self, images: Image | Iterable[Image]) -> Prediction | Results[Prediction]:
        """Return the prediction for one image, or an iterator of predictions for an iterable, lazy and in order.

        An image is a path, the bytes of a file, a uint8 array (H, W, 3), or a PIL image. An iterable may mix them and
        be endless; a few batches are read ahead (`run_in_batches`). An image that cannot be read yields a prediction
        with `error`. Worker threads run until all predictions are taken; `close()` ends them earlier.
        """
        if is_one(images):
            (prediction,) = self([images])
            return prediction
        self.profile = profile = Profile()
        pixels = self.contract.pixels
        # Fields known before the model has answered, by the number of the image.
        notes: dict[int, dict[str, str]] = defaultdict(dict)
        numbers = count()

        def load(source: Source, lap: Callable[[str], None], number: int) -> np.ndarray:
            source = as_source(source, self._color)
            keep = partial(notes[number].setdefault, "warning") if self.lenient else refuse
            if self.mark_trained:
                source, digest = _decoded(source, pixels, lap, self.bits, keep)
                if copy := self.training_images.copy_of(digest, source):
                    notes[number]["trained_on"] = copy
                lap("decode")
            return pixels.load(source, lap, self.bits, keep)

        def finish(result: Prediction | AllkitError) -> Prediction:
            known = notes.pop(next(numbers), None)
            if isinstance(result, AllkitError):
                return Prediction(error=str(result))
            return replace(result, **known) if known and result.error is None else result

        return run_in_batches(
            images,
            pixels,
            self._infer,
            self.plan,
            profile,
            buffer=self._model.buffer,
            load=load,
            finish=finish,
        )

    def _infer(self, batch: np.ndarray) -> list[Prediction]:
        probabilities, distances, heatmaps = self._model.run(batch, self.heatmaps)
        # NaN compares false, so it is refused too.
        valid = (probabilities >= 0).all(1) & (np.abs(probabilities.sum(1) - 1) <= _SUM_TOLERANCE)
        # Not `>`: a distance of NaN must count as unfamiliar.
        unfamiliar = ~(distances <= self.contract.familiarity["threshold"])
        # As Python values at once: one by one they take several times as long.
        columns = valid, probabilities, probabilities.argmax(1), distances, unfamiliar
        rows = zip(*(column.tolist() for column in columns), strict=True)
        maps = [None] * len(batch) if heatmaps is None else heatmaps
        return [self._prediction(*row, heatmap) for row, heatmap in zip(rows, maps, strict=True)]

    def _prediction(
        self,
        valid: bool,
        row: list[float],
        best: int,
        distance: float,
        unfamiliar: bool,
        heatmap: np.ndarray | None,
    ) -> Prediction:
        if not valid:
            return Prediction(error="the model returned invalid probabilities: export the model again")
        classes, threshold = self.contract.classes, self.contract.abstention["threshold"]
        prediction_set = tuple(name for name, probability in zip(classes, row, strict=True) if probability >= threshold)
        return Prediction(
            classes[best],
            row[best],
            dict(zip(classes, row, strict=True)),
            prediction_set,
            uncertain=len(prediction_set) != 1,
            distance=distance,
            unfamiliar=unfamiliar,
            heatmap=heatmap,
        )


def _decoded(
    source: Source, pixels: PixelPath, lap: Callable[[str], None], bits: int | None, on_damage: OnDamage
) -> tuple[np.ndarray, str | None]:
    """The image as the model decodes it, and the SHA-256 of its file, None for an array."""
    if isinstance(source, np.ndarray):
        return source, None
    data = source if isinstance(source, bytes) else read_bytes(source)
    lap("read")
    image = decode(data, pixels.jpeg_scale, bits, on_damage)
    return image, hashlib.sha256(data).hexdigest()


def _opened(file: ModelFile, device: str, mode: str, given: Mapping[str, int]) -> tuple[Model, Plan]:
    """The model, and the plan its session was created for. given: fields of the plan that are not to be chosen."""
    plan = tuned_plan(file.path) if mode == "throughput" else None
    plan = replace(plan or default_plan(len(file.data), mode), **given)
    model = Model(file, device, plan.threads, shared=plan.workers > 1)
    return model, plan if model.provider == CPU else replace(gpu_plan(mode), **given)

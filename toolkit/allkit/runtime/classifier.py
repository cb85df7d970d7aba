"""The public API: images in, predictions out."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
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

# Of the sum of an image's probabilities; float16 has three decimal digits.
_SUM_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Prediction:
    """What the model says about one image, or why that could not be read.

    label: the class of the highest probability. confidence: that probability. probabilities: class
    name to probability, in the model's order. prediction_set: the classes that the model's coverage
    does not rule out, maybe none. uncertain: the set is not exactly one class. distance: how far the
    image lies from the training images. unfamiliar: farther than the model's threshold. heatmap: where the
    evidence for the label lies, float32 (h, w), positive for and negative against it, if asked for.
    trained_on: where it was asked for, "exact" for a file that the model was trained on, "near" for an image that looks
    like one, else None. error: None, or the reason; then the rest is None or empty. warning: None, or what is wrong
    with a damaged image that was read leniently: its label rests on what is left of it.
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
        """The fields of a row of `allkit classify` but the path, by the same names; one per class for probabilities."""
        # float32 carries about seven digits; the rest would be noise.
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
    """An exported model as a function over images.

    model: an ONNX file made by `allkit export`; None takes the one that ./exported/default names, which `allkit export`
    writes, else the one that comes with allkit.
    device: auto, cpu, cuda, tensorrt, or any other that onnxruntime was built with, such as openvino; auto takes
    CUDA where a session gets it, else the CPU, and says so in `notice`.
    batch_size: images per run of the model, None for the plan's. heatmaps: fill in `heatmap`, with a model exported
    with one. mode: throughput (many images) or latency (one at a time, over all cores).
    lenient: read what is left of damaged images, with a `warning`, where otherwise they are an error. bits: how many
    bits, 8 to 16, the values of 16-bit images use; None takes what the file says. mark_trained: fill in `trained_on`,
    with a model that tells its training images. color: the channel order of arrays, "rgb", or "bgr" as OpenCV has it.
    Raises AllkitError when there is no such model, when the file is damaged or has no contract, no heat map or no
    training images, or when a GPU named explicitly does not work.

    heatmaps, lenient, bits, mark_trained: as given. model_path: the file in use. model_identity: a hash of its content.
    chosen: why this one, where none was named, else None. contract: what the model says of itself. training_images:
    those of its split, None where it does not tell.
    notice: one line about a fallback to the CPU or to slower kernels, or None. plan: how the machine is shared out.
    profile: where the time of the last call went.

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
    ):
        if color not in COLORS:
            raise AllkitError(f"unknown color {color!r}: give one of {', '.join(COLORS)}")
        if mode not in MODES:
            raise AllkitError(f"unknown mode {mode!r}: give one of {', '.join(MODES)}")
        if batch_size is not None and batch_size < 1:
            raise AllkitError(f"batch size {batch_size} is out of range: give 1 or more")
        check_bits(bits)
        default = default_model() if model is None else None
        file = read_model(default.path if default else model)
        if default:
            check_default(default, hashlib.sha256(file.data).hexdigest())
        self.chosen: str | None = default and default.why
        self._model, self.plan = _opened(file, device, mode)
        if batch_size is not None:
            self.plan = replace(self.plan, batch_size=batch_size)
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
        """The prediction of one image; of an iterable of images one prediction each, lazily and in order.

        An image is a path, the bytes of a file, a uint8 array (H, W, 3), or a PIL image; an iterable may mix them and
        be endless, a few batches are read ahead (`run_in_batches`). An image that cannot be read yields a prediction
        with `error` in its place. Threads work as long as predictions are left to take; `close()` ends them earlier.
        """
        if is_one(images):
            (prediction,) = self([images])
            return prediction
        self.profile = Profile()
        pixels = self.contract.pixels
        # Fields of a prediction that are known before the model has answered, by the number of the image.
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

        def finish(result: tuple | AllkitError) -> Prediction:
            prediction, known = self._prediction(result), notes.pop(next(numbers), {})
            return replace(prediction, **known) if known and prediction.error is None else prediction

        return run_in_batches(
            images,
            pixels,
            self._infer,
            self.plan,
            self.profile,
            buffer=self._model.buffer,
            load=load,
            finish=finish,
        )

    def _infer(self, batch: np.ndarray) -> Iterator[tuple[np.ndarray, np.float32, np.ndarray | None]]:
        probabilities, distances, heatmaps = self._model.run(batch, self.heatmaps)
        return zip(probabilities, distances, [None] * len(batch) if heatmaps is None else heatmaps, strict=True)

    def _prediction(self, result: tuple[np.ndarray, np.float32, np.ndarray | None] | AllkitError) -> Prediction:
        if isinstance(result, AllkitError):
            return Prediction(error=str(result))
        row, distance, heatmap = result
        # NaN compares false, so that it is refused too.
        if not (row >= 0).all() or not abs(float(row.sum()) - 1) <= _SUM_TOLERANCE:
            return Prediction(error="the model gave numbers that are no probabilities: export the model again")
        probabilities = dict(zip(self.contract.classes, row.tolist(), strict=True))
        label = self.contract.classes[int(row.argmax())]
        threshold = self.contract.abstention["threshold"]
        prediction_set = tuple(name for name, probability in probabilities.items() if probability >= threshold)
        return Prediction(
            label,
            probabilities[label],
            probabilities,
            prediction_set,
            uncertain=len(prediction_set) != 1,
            distance=float(distance),
            # Not `>`: a distance that is not a number is no sign of familiarity.
            unfamiliar=not distance <= self.contract.familiarity["threshold"],
            heatmap=heatmap,
        )


def _decoded(
    source: Source, pixels: PixelPath, lap: Callable[[str], None], bits: int | None, on_damage: OnDamage
) -> tuple[np.ndarray, str | None]:
    """The image as the model decodes it, and the SHA-256 of its file, None where it comes as an array."""
    if isinstance(source, np.ndarray):
        return source, None
    data = source if isinstance(source, bytes) else read_bytes(source)
    lap("read")
    image = decode(data, pixels.jpeg_scale, bits, on_damage)
    return image, hashlib.sha256(data).hexdigest()


def _opened(file: ModelFile, device: str, mode: str) -> tuple[Model, Plan]:
    """The model, and the plan that its session was made for."""
    plan = tuned_plan(file.path) if mode == "throughput" else None
    plan = plan or default_plan(len(file.data), mode)
    model = Model(file, device, plan.threads, shared=plan.workers > 1)
    return model, plan if model.provider == CPU else gpu_plan(mode)

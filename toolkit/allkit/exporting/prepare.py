"""A finished run, ready to export: float32 graph, uncertainty estimates, and the images to check variants on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx

from allkit.data.index import scan
from allkit.data.split import PARTS, Split, class_of
from allkit.errors import AllkitError
from allkit.exporting import convert
from allkit.exporting.fold import folded
from allkit.exporting.measure import open_session, outputs
from allkit.exporting.trained import predict
from allkit.exporting.uncertainty import Uncertainty, fit_familiarity, with_features, with_uncertainty
from allkit.imaging.pixel_path import PixelPath, decode, read_bytes, stack
from allkit.metrics import fit_temperature, log_probabilities
from allkit.model.architecture import Architecture
from allkit.model.contract import OUTPUT_NAME
from allkit.model.training_images import TrainingImages, perceptual_hashes
from allkit.runs.run import Run
from allkit.support.cpus import cores
from allkit.training import architecture
from allkit.training.weights import load_run

# The least number of images that a file is verified on, where the dataset has as many.
VERIFY_IMAGES = 64

# How many training images calibrate int8 (300 is the least that is advised) and the distance.
CALIBRATION_IMAGES, FAMILIAR_IMAGES = 320, 512

Say = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """Images uint8 (n, S, S, 3), labels and groups int64 (n,) of a part of the run's split."""

    pixels: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class Prepared:
    """What every variant of one run is made from and validated against.

    record: of the training. predicted: labels int64 (n,) and probabilities float64 (n, k) of the test part by the
    network as trained. model: the trained network in float32. proto: its tidy float32 graph. calibration: training
    images. verification: at least VERIFY_IMAGES images. feature_shape: channels, height and width of the last feature
    map. images: which images the run was trained on, as the text of the metadata entry.
    """

    run: Run
    record: Mapping[str, Any]
    predicted: tuple[np.ndarray, np.ndarray]
    model: keras.Model
    uncertainty: Uncertainty
    proto: onnx.ModelProto
    validation: Part
    test: Part
    calibration: np.ndarray
    verification: np.ndarray
    feature_shape: tuple[int, int, int]
    images: str

    @property
    def network(self) -> Architecture:
        return self.run.settings.network

    @cached_property
    def reference(self) -> np.ndarray:
        """Probabilities (n, k) of the float32 graph for the validation part, computed when they are first needed."""
        return outputs(open_session(self.proto), [OUTPUT_NAME], self.validation.pixels)[0]


def prepare_run(run: Run, data: Path, say: Say) -> Prepared:
    """Read the images, load the network, fit its uncertainty estimates and convert it.

    `data` is the folder of the images that the run was trained on. Raises AllkitError when the run is unfinished or
    its images are not there.
    """
    run.require_finished()
    # First of all: a damaged record must not end the work of minutes.
    record, (_, *predicted) = run.metrics(), run.read_predictions()
    split, settings, root = run.split, run.settings, scan(data).root
    if stranger := next((path for path in split.hashes if class_of(path) not in settings.classes), None):
        raise AllkitError(f"{stranger!r} in the split of {run.folder} belongs to no class of the run: train again")
    say("reading the images of the run")
    model = load_model(run)
    network = settings.network
    tap = with_features(model, network.distance_layer)

    def part(name: str) -> Part:
        paths = split.parts[name]
        labels = np.array([settings.classes.index(class_of(path)) for path in paths])
        groups = np.array([split.groups[path] for path in paths])
        return Part(read_part(split, paths, root, settings.pixels), labels, groups)

    validation, test = part("validation"), part("test")
    familiar = read_part(split, _spread(split.parts["train"], FAMILIAR_IMAGES), root, settings.pixels)
    verification = verification_images(split, root, settings.pixels)
    say("fitting temperature and distance")
    probabilities, _ = predict(tap, validation.pixels)
    temperature = fit_temperature(log_probabilities(probabilities), validation.labels)
    uncertainty = Uncertainty(temperature, fit_familiarity(predict(tap, familiar)[1]))
    say("converting to ONNX")
    proto = convert.to_onnx(with_uncertainty(folded(model, network), network.distance_layer, uncertainty))
    _, height, width, channels = model.get_layer(network.last_map).output.shape
    return Prepared(
        run=run,
        record=record,
        predicted=tuple(predicted),
        model=model,
        uncertainty=uncertainty,
        proto=proto,
        validation=validation,
        test=test,
        calibration=familiar[_evenly(len(familiar), CALIBRATION_IMAGES)],
        verification=verification,
        feature_shape=(channels, height, width),
        images=training_images(split, root).to_text(),
    )


def load_model(run: Run) -> keras.Model:
    """The trained network in float32; AllkitError when its file is missing or damaged."""
    settings = run.settings
    # A network trained in mixed bfloat16 would compute in it; its weights are float32, and so is the exported file.
    keras.config.set_dtype_policy("float32")
    classes = len(settings.classes)
    model = architecture.build(settings.network, settings.pixels.size_px, classes, settings.width, settings.recipe)
    load_run(model, run)
    return model


def verification_images(split: Split, root: Path, pixels: PixelPath) -> np.ndarray:
    """At least VERIFY_IMAGES validation images, uint8 (n, S, S, 3), spread evenly over the part.

    A small validation part is filled up from the other parts.
    """
    chosen = _spread(split.parts["validation"], VERIFY_IMAGES)
    others = [path for part in PARTS if part != "validation" for path in split.parts[part]]
    return read_part(split, chosen + _spread(others, VERIFY_IMAGES - len(chosen)), root, pixels)


def read_part(split: Split, paths: Sequence[str], root: Path, pixels: PixelPath) -> np.ndarray:
    """Images uint8 (n, S, S, 3) of some paths of a split; AllkitError unless each file is the one that was split."""
    return stack([pixels.load(_read(split, path, root)) for path in paths], pixels.size_px)


def training_images(split: Split, root: Path) -> TrainingImages:
    """What a file keeps of the images of its split; AllkitError unless each of them is the one that was split."""
    known = [*split.parts["train"], *split.parts["validation"]]
    with ThreadPoolExecutor(cores()) as pool:
        pictures = pool.map(lambda path: perceptual_hashes(decode(_read(split, path, root)))[0], known)
        return TrainingImages.of(split.parts, split.hashes, split.groups, dict(zip(known, pictures, strict=True)))


def _read(split: Split, path: str, root: Path) -> bytes:
    data = read_bytes(root / path)
    if hashlib.sha256(data).hexdigest() != split.hashes[path]:
        raise AllkitError(f"{root / path} has changed since the run was trained: give --data the images it used")
    return data


def _spread(paths: Sequence[str], count: int) -> list[str]:
    return [paths[i] for i in _evenly(len(paths), count)]


def _evenly(total: int, count: int) -> list[int]:
    count = min(count, total)
    return [i * total // count for i in range(count)]

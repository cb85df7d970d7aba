"""One run to one verified file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx

from allkit.contract import Contract
from allkit.dataset.index import scan
from allkit.dataset.split import PARTS, Split
from allkit.errors import AllkitError
from allkit.export import convert
from allkit.export.card import model_card
from allkit.export.doubt import Doubt, fit_doubt, with_doubt, with_features
from allkit.export.figures import save_reliability
from allkit.export.fold import folded
from allkit.export.verify import Verification, compare
from allkit.files import replacing, write_text
from allkit.images import PixelPath, decode, read_bytes, stack
from allkit.runtime.session import Model
from allkit.training import architecture
from allkit.training.run import Run

# The least number of images that a file is verified on, where the dataset has as many.
VERIFY_IMAGES = 64

# How many training images the distance is fitted to, twice its numbers at full width: it is the slow part.
FAMILIAR_IMAGES = 512

# At full width and 300 px the first activations of one image take 22 MiB each.
_BATCH = 16


@dataclass(frozen=True)
class Exported:
    """A file that passed, its card, the figures of its verification and its contract.

    replaced: whether a file of that name was there before.
    """

    path: Path
    card: Path
    verification: Verification
    contract: Contract
    replaced: bool


def export(run: Run, data: Path, out: Path, coverage: float = 0.95) -> Exported:
    """Convert a finished run, verify the file against the Keras network and write it with its card into `out`.

    `data` is the folder of the images that the run was trained on; coverage is the share of images whose prediction
    set shall hold the truth. Raises AllkitError, leaving nothing new in `out`, when the run is unfinished, its images
    are not there or the verification fails.
    """
    if not run.finished:
        raise AllkitError(f"{run.folder} is not finished: allkit train --out {run.folder} --resume")
    split, settings, root = run.split, run.settings, scan(data).root
    model = load_model(run)
    tap = with_features(model)
    validation = split.parts["validation"]
    probabilities, features = _predict(tap, read_part(split, validation, root, settings.pixels))
    labels = np.array([settings.classes.index(path.split("/")[0]) for path in validation])
    familiar = read_part(split, _spread(split.parts["train"], FAMILIAR_IMAGES), root, settings.pixels)
    doubt = fit_doubt(probabilities, labels, _predict(tap, familiar)[1], features, coverage)

    pixels = verification_images(split, root, settings.pixels)
    probabilities, features = _predict(tap, pixels)
    proto = convert.to_onnx(with_doubt(folded(model, settings), doubt))
    path = out / f"{settings.name}-fp32.onnx"
    replaced = path.exists()
    _, test_labels, test_probabilities = run.read_predictions()
    contract = _contract(run, doubt, doubt.calibration(test_probabilities, test_labels))
    with replacing(path) as temporary:
        convert.embed(proto, contract)
        onnx.save(proto, temporary)
        exported = Model(temporary)
        got = [exported.run(batch) for batch in np.array_split(pixels, -(-len(pixels) // _BATCH))]
        verification = compare(
            (doubt.calibrate(probabilities), doubt.familiarity.distances(features)),
            tuple(np.concatenate(column) for column in zip(*got, strict=True)),
        )
        if not verification.passed:
            raise AllkitError(f"{path.name} is not written, it does not agree with the Keras model: {verification}")
        contract = replace(contract, verification=asdict(verification))
        convert.embed(proto, contract)
        onnx.save(proto, temporary)
    diagram = path.with_suffix(".reliability.png")
    save_reliability(test_probabilities, doubt.calibrate(test_probabilities), test_labels, diagram)
    card = path.with_suffix(".md")
    write_text(card, model_card(path, contract))
    return Exported(path, card, verification, contract, replaced)


def _predict(tap: keras.Model, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and features of uint8 images (n, S, S, 3)."""
    batches = [tap.predict_on_batch(pixels[i : i + _BATCH]) for i in range(0, len(pixels), _BATCH)]
    probabilities, features = (np.concatenate(column) for column in zip(*batches, strict=True))
    return probabilities, features


def load_model(run: Run) -> keras.Model:
    """The trained network in float32, loaded in Keras' safe mode; AllkitError when the file is missing or damaged."""
    try:
        trained = keras.models.load_model(run.model_path, compile=False, safe_mode=True)
    except (ValueError, OSError, KeyError) as error:
        raise AllkitError(f"{run.model_path} cannot be loaded ({error}): train again") from error
    # A network trained in mixed bfloat16 would compute in it; its weights are float32, and so is the exported file.
    settings = run.settings
    keras.config.set_dtype_policy("float32")
    model = architecture.build(settings.pixels.size_px, len(settings.classes), settings.width, settings.recipe)
    model.set_weights(trained.get_weights())
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
    images = []
    for path in paths:
        data = read_bytes(root / path)
        if hashlib.sha256(data).hexdigest() != split.hashes[path]:
            raise AllkitError(f"{root / path} has changed since the run was trained: give --data the images it used")
        images.append(pixels.fit(decode(data)))
    return stack(images, pixels.size_px)


def _spread(paths: Sequence[str], count: int) -> list[str]:
    count = min(count, len(paths))
    return [paths[i * len(paths) // count] for i in range(count)]


def _contract(run: Run, doubt: Doubt, calibration: Mapping[str, Any]) -> Contract:
    """What the file says of itself before it is verified."""
    settings, record = run.settings, run.metrics()
    accuracy = record["metrics"]["accuracy"]
    return Contract(
        classes=settings.classes,
        pixels=settings.pixels,
        architecture=settings.architecture,
        width=settings.width,
        precision="fp32",
        recipe=settings.public()["recipe"],
        split=run.split.summary(),
        data_fingerprint=run.split.fingerprint,
        accuracy={**accuracy, "n": record["metrics"]["n"], "part": record["part"]},
        baseline=record["baseline"],
        verification={},
        temperature=doubt.temperature,
        calibration={"part": record["part"], **calibration},
        abstention=doubt.abstention_record(),
        familiarity=doubt.familiarity_record(),
        versions={**record["versions"], **{name: version(name) for name in ("tf2onnx", "onnx")}},
    )

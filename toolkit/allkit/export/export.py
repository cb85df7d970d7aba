"""One run to one verified file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import onnx

from allkit.contract import Contract
from allkit.dataset.index import scan
from allkit.dataset.split import PARTS, Split
from allkit.errors import AllkitError
from allkit.export import convert
from allkit.export.card import model_card
from allkit.export.fold import folded
from allkit.export.verify import Verification, compare
from allkit.files import replacing, write_text
from allkit.images import PixelPath, decode, read_bytes, stack
from allkit.runtime.session import Model
from allkit.training.fit import predict
from allkit.training.run import Run

# The least number of images that a file is verified on, where the dataset has as many.
VERIFY_IMAGES = 64

# At full width and 300 px the first activations of one image take 22 MiB each.
_BATCH = 16


@dataclass(frozen=True)
class Exported:
    """A file that passed, its card, and the figures of its verification."""

    path: Path
    card: Path
    verification: Verification


def export(run: Run, data: Path, out: Path) -> Exported:
    """Convert a finished run, verify the file against the Keras network and write it with its card into `out`.

    `data` is the folder of the images that the run was trained on. Raises AllkitError, leaving nothing new
    in `out`, when the run is unfinished, its images are not there or the verification fails.
    """
    if not run.finished:
        raise AllkitError(f"{run.folder} is not finished: allkit train --out {run.folder} --resume")
    pixels = verification_images(run.split, scan(data).root, run.settings.pixels)
    model = load_model(run)
    expected = predict(model, pixels)
    proto = convert.to_onnx(folded(model, run.settings))
    path = out / f"{run.settings.name}-fp32.onnx"
    with replacing(path) as temporary:
        convert.embed(proto, _contract(run, verification={}))
        onnx.save(proto, temporary)
        exported = Model(temporary)
        got = np.concatenate([exported.run(batch) for batch in np.array_split(pixels, -(-len(pixels) // _BATCH))])
        verification = compare(expected, got)
        if not verification.passed:
            raise AllkitError(
                f"{path.name} is not written, it does not agree with the Keras model: on {verification.n} images the "
                f"largest probability difference is {verification.max_probability_difference:.2e} (allowed "
                f"{verification.tolerance:.0e}) and {verification.agreement:.1%} have the same class; "
                "check the versions of tf2onnx and onnxruntime"
            )
        contract = _contract(run, asdict(verification))
        convert.embed(proto, contract)
        onnx.save(proto, temporary)
    card = path.with_suffix(".md")
    write_text(card, model_card(path, contract))
    return Exported(path, card, verification)


def load_model(run: Run) -> keras.Model:
    """The trained network, loaded in Keras' safe mode; AllkitError when the file is missing or damaged."""
    try:
        return keras.models.load_model(run.model_path, compile=False, safe_mode=True)
    except (ValueError, OSError, KeyError) as error:
        raise AllkitError(f"{run.model_path} cannot be loaded ({error}): train again") from error


def verification_images(split: Split, root: Path, pixels: PixelPath) -> np.ndarray:
    """At least VERIFY_IMAGES validation images, uint8 (n, S, S, 3), spread evenly over the part.

    A small validation part is filled up from the other parts. Each file must be the one that was split.
    """
    chosen = _spread(split.parts["validation"], VERIFY_IMAGES)
    others = [path for part in PARTS if part != "validation" for path in split.parts[part]]
    chosen += _spread(others, VERIFY_IMAGES - len(chosen))
    images = []
    for path in chosen:
        data = read_bytes(root / path)
        if hashlib.sha256(data).hexdigest() != split.hashes[path]:
            raise AllkitError(f"{root / path} has changed since the run was trained: give --data the images it used")
        images.append(pixels.fit(decode(data)))
    return stack(images, pixels.size_px)


def _spread(paths: Sequence[str], count: int) -> list[str]:
    count = min(count, len(paths))
    return [paths[i * len(paths) // count] for i in range(count)]


def _contract(run: Run, verification: dict) -> Contract:
    settings, record = run.settings, run.metrics()
    accuracy = record["metrics"]["accuracy"]
    return Contract(
        classes=settings.classes,
        pixels=settings.pixels,
        architecture=settings.architecture,
        width=settings.width,
        precision="fp32",
        recipe=settings.recipe.to_dict(),
        split=run.split.summary(),
        data_fingerprint=run.split.fingerprint,
        accuracy={**accuracy, "n": record["metrics"]["n"], "part": record["part"]},
        verification=verification,
        versions={**record["versions"], **{name: version(name) for name in ("tf2onnx", "onnx")}},
    )

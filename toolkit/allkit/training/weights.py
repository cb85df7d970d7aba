"""Weights that a training begins with, those of ImageNet or of an earlier run; and networks that it imitates."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from zipfile import BadZipFile

import keras
import numpy as np

from allkit.errors import AllkitError
from allkit.runs.run import Run
from allkit.training.architecture import conv_names

# What Keras, h5py and zipfile raise for a file that is cut short, changed, or another.
_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    RuntimeError,
    BadZipFile,
    zlib.error,
    struct.error,
)


def load_imagenet(model: keras.Model, source: str) -> None:
    """Set the thirteen convolutions of a full-width model from VGG16 without top.

    source: "imagenet", fetched by Keras, or a file that `keras.applications.VGG16(include_top=False)` can load
    (.weights.h5, .keras, or the .h5 that Keras publishes). Raises AllkitError when it cannot be had.
    """
    base = _fetch() if source == "imagenet" else _read(source)
    for name in conv_names():
        kernel, bias = base.get_layer(name).get_weights()
        if name == "block1_conv1":
            # Keras' ImageNet weights expect BGR; reversing the input channels of the first kernel is exact.
            kernel = np.ascontiguousarray(kernel[:, :, ::-1])
        model.get_layer(name).set_weights([kernel, bias])


def load_run(model: keras.Model, run: Run) -> None:
    """Set all weights from a finished run of the same network.

    Raises AllkitError when the run is not finished, its file is damaged, or its network is another.
    """
    weights = network(run).get_weights()
    try:
        model.set_weights(weights)
    except ValueError as error:
        raise AllkitError(
            f"{run.model_path} is of another --size, --width, number of classes or batch normalisation "
            f"({_first_line(error)})"
        ) from error


def network(run: Run) -> keras.Model:
    """The network of a finished run, not compiled. AllkitError when it is not finished or its file is damaged."""
    run.require_finished()
    try:
        return keras.models.load_model(run.model_path, compile=False, safe_mode=True)
    except _DAMAGE as error:
        raise AllkitError(f"{run.model_path} cannot be loaded ({_first_line(error)}): train again") from error


def _read(source: str) -> keras.Model:
    if not Path(source).is_file():
        raise AllkitError(
            f"no weights file {source}: give --weights imagenet, random, a Keras weights file of VGG16, or a run folder"
        )
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    try:
        base.load_weights(source)
    except _DAMAGE as error:
        raise AllkitError(
            f"{source} does not hold the weights of VGG16 without top: {_first_line(error)}; a file made with "
            "keras.applications.VGG16(include_top=False).save_weights('vgg16.weights.h5') does"
        ) from error
    return base


def _fetch() -> keras.Model:
    try:
        return keras.applications.VGG16(include_top=False, weights="imagenet", input_shape=(32, 32, 3))
    except Exception as error:
        # keras.utils.get_file raises a bare Exception when a download fails, and nothing narrower.
        if "URL fetch failure" not in str(error):
            raise
        raise AllkitError(
            "the ImageNet weights cannot be fetched. On a machine with internet run in Python\n"
            "  import keras; keras.applications.VGG16(include_top=False).save_weights('vgg16.weights.h5')\n"
            "then copy the file here and give --weights vgg16.weights.h5; or train without it: --recipe scratch"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]

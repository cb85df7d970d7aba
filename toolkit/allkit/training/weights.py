"""Weights that a training starts from, those of ImageNet or of an earlier run; and networks that it imitates."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from zipfile import BadZipFile

import keras
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from allkit.errors import AllkitError
from allkit.runs.architecture import ARCHITECTURES, VGG16, Architecture
from allkit.runs.recipe import Recipe
from allkit.runs.run import Run
from allkit.training.architecture import TORCH_STD_RGB

_VGG16 = ARCHITECTURES[VGG16]

# What Keras, h5py and zipfile raise for a file that is truncated, changed, or another.
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


def load_imagenet(model: keras.Model, architecture: Architecture, recipe: Recipe) -> None:
    """Set the convolutions of a full-width VGG16, or of its first blocks.

    `recipe.weights` is "imagenet", fetched by Keras; a file that `keras.applications.VGG16(include_top=False)` loads
    (.weights.h5, .keras, or the .h5 that Keras publishes); or an ONNX file, whose convolutions are taken in the order
    of the graph and whose preprocessing `recipe.weights_preprocessing` names. Raises AllkitError for a file that cannot
    be read, holds another network, or does not fit the recipe.
    """
    if recipe.weights.lower().endswith(".onnx"):
        kernels = _read_onnx(recipe)
    else:
        base = _fetch() if recipe.weights == "imagenet" else _read(recipe.weights)
        kernels = [base.get_layer(name).get_weights() for name in _VGG16.conv_names]
    first, bias = kernels[0]
    if recipe.weights_preprocessing == "torch":
        # (pixel / 255 - mean) / std = (pixel - 255 mean) / (255 std): the network subtracts, the kernel divides.
        first = first / (255 * np.float32(TORCH_STD_RGB))[:, None]
    else:
        # BGR: reversing the input channels of the first kernel is exact.
        first = np.ascontiguousarray(first[:, :, ::-1])
    # The first blocks alone leave the weights of the others.
    for name, weights in zip(architecture.conv_names, [(first, bias), *kernels[1:]], strict=False):
        model.get_layer(name).set_weights(list(weights))


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


def _read_onnx(recipe: Recipe) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel (3, 3, in, out) and bias (out,) of each convolution of an ONNX file of VGG16."""
    wanted = {"caffe": "imagenet", "torch": "torch"}.get(recipe.weights_preprocessing)
    if wanted is None:
        raise AllkitError(
            f"{recipe.weights} does not say how its network expects images: give --weights-preprocessing torch for RGB "
            "scaled to 0..1 and normalised (torchvision, the ONNX model zoo), caffe for BGR less the mean (Keras)"
        )
    if recipe.normalisation != wanted:
        raise AllkitError(
            f"weights of --weights-preprocessing {recipe.weights_preprocessing} need --normalisation {wanted}, not "
            f"{recipe.normalisation}"
        )
    try:
        graph = onnx.load(recipe.weights).graph
    except (OSError, ValueError, DecodeError) as error:
        raise AllkitError(f"{recipe.weights} cannot be read as an ONNX file: {_first_line(error)}") from error
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = [[arrays.get(name) for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    shapes = [kernel.shape if kernel is not None else None for kernel, *_ in found]
    expected, channels = [], 3
    for of_block, count in _VGG16.blocks:
        for _ in range(count):
            expected.append((of_block, channels, 3, 3))
            channels = of_block
    if shapes != expected or any(len(arrays) != 2 or arrays[1] is None for arrays in found):
        raise AllkitError(
            f"{recipe.weights} is not VGG16: its {len(found)} convolutions are not the 13 of that network, each with a "
            "3 x 3 kernel and a bias stored in the file"
        )
    return [(kernel.transpose(2, 3, 1, 0).astype(np.float32), bias.astype(np.float32)) for kernel, bias in found]


def _read(source: str) -> keras.Model:
    if not Path(source).is_file():
        raise AllkitError(
            f"no weights file {source}: give --weights imagenet, random, a weights file of VGG16 (Keras or ONNX), or a "
            "run folder"
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

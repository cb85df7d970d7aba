"""Weights that a training starts from, those of ImageNet or of an earlier run; and networks that it imitates."""

from __future__ import annotations

import itertools
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
from allkit.model.architecture import ARCHITECTURES, VGG16, Architecture, Published
from allkit.runs.recipe import Recipe
from allkit.runs.run import Run
from allkit.training.architecture import CENTRE, TORCH_STD_RGB

_VGG16 = ARCHITECTURES[VGG16]

# Any size will do: convolutions have none.
_BASE_SHAPE = (32, 32, 3)

# What `recipe.normalisation` must be for weights that expect pixels so.
_NORMALISATIONS = {"caffe": "imagenet", "torch": "torch", "tf": "centre"}

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


def load_imagenet(model: keras.Model, network: Architecture, recipe: Recipe) -> None:
    """Set the weights of a network's body, at full width, to those of ImageNet.

    `recipe.weights` is "imagenet", fetched by Keras; a file that `keras.applications.NAME(include_top=False)` loads
    (.weights.h5, .keras, or the .h5 that Keras publishes), where NAME is VGG16 for its first blocks, too; or, for
    VGG16, an ONNX file, whose convolutions are taken in the order of the graph and whose preprocessing
    `recipe.weights_preprocessing` names. Raises AllkitError for a file that cannot be read, holds another network, or
    does not fit the recipe.
    """
    if isinstance(network, Published):
        _load_published(model, network, recipe)
        return
    if recipe.weights.lower().endswith(".onnx"):
        kernels = _read_onnx(recipe)
    else:
        base = _base("VGG16", recipe.weights)
        kernels = [base.get_layer(name).get_weights() for name in _VGG16.conv_names]
    # Kernels of Keras' VGG16 are for pixels as they are.
    mode = recipe.weights_preprocessing or "caffe"
    kernels[0] = [_for_rgb(kernels[0][0], mode), *kernels[0][1:]]
    # The first blocks alone leave the weights of the others.
    for name, weights in zip(network.conv_names, kernels, strict=False):
        model.get_layer(name).set_weights(list(weights))


def _load_published(model: keras.Model, network: Published, recipe: Recipe) -> None:
    wanted = _NORMALISATIONS[network.preprocessing]
    if recipe.normalisation != wanted:
        raise AllkitError(
            f"ImageNet weights of {network.name} need --normalisation {wanted}, not {recipe.normalisation}"
        )
    base = _base(network.name, recipe.weights)
    first = next(layer.name for layer in base.layers if isinstance(layer, keras.layers.Conv2D))
    for layer in base.layers:
        if weights := layer.get_weights():
            if layer.name == first:
                weights[0] = _for_rgb(weights[0], network.preprocessing)
            model.get_layer(layer.name).set_weights(weights)


def _for_rgb(kernel: np.ndarray, mode: str) -> np.ndarray:
    """A first kernel (h, w, 3, out) for RGB pixels from 0 to 255 less the mean, from one for a `preprocessing`."""
    if mode == "torch":
        # (pixel / 255 - mean) / std = (pixel - 255 mean) / (255 std): the network subtracts, the kernel divides.
        return kernel / (255 * np.float32(TORCH_STD_RGB))[:, None]
    if mode == "tf":
        return kernel / np.float32(CENTRE)
    # BGR: reversing the input channels is exact.
    return np.ascontiguousarray(kernel[:, :, ::-1])


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
    wanted = _NORMALISATIONS.get(recipe.weights_preprocessing)
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
    for filters, side in itertools.chain(*_VGG16.blocks):
        expected.append((filters, channels, side, side))
        channels = filters
    if shapes != expected or any(len(arrays) != 2 or arrays[1] is None for arrays in found):
        raise AllkitError(
            f"{recipe.weights} is not VGG16: its {len(found)} convolutions are not the 13 of that network, each with a "
            "3 x 3 kernel and a bias stored in the file"
        )
    return [(kernel.transpose(2, 3, 1, 0).astype(np.float32), bias.astype(np.float32)) for kernel, bias in found]


def _base(name: str, source: str) -> keras.Model:
    """The network of `keras.applications` of a name, without top, with weights that are fetched or of a file."""
    if source == "imagenet":
        return _fetch(name)
    if not Path(source).is_file():
        raise AllkitError(
            f"no weights file {source}: give --weights imagenet, random, a weights file of {name} (Keras"
            f"{' or ONNX' if name == 'VGG16' else ''}), or a run folder"
        )
    base = _make(name, None)
    try:
        base.load_weights(source)
    except _DAMAGE as error:
        raise AllkitError(
            f"{source} does not hold the weights of {name} without top: {_first_line(error)}; a file made with "
            f"{_save(name)} does"
        ) from error
    return base


def _fetch(name: str) -> keras.Model:
    try:
        return _make(name, "imagenet")
    except Exception as error:
        # keras.utils.get_file raises a bare Exception when a download fails, and nothing narrower.
        if "URL fetch failure" not in str(error):
            raise
        raise AllkitError(
            "the ImageNet weights cannot be fetched. On a machine with internet run in Python\n"
            f"  import keras; {_save(name)}\n"
            f"then copy the file here and give --weights {name.lower()}.weights.h5; or train without it: "
            "--recipe scratch"
        ) from error


def _make(name: str, weights: str | None) -> keras.Model:
    return getattr(keras.applications, name)(include_top=False, weights=weights, input_shape=_BASE_SHAPE)


def _save(name: str) -> str:
    return f"keras.applications.{name}(include_top=False).save_weights('{name.lower()}.weights.h5')"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]

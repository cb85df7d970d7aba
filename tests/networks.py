"""A network with random weights, its batch normalisation far from the initial one, and its exported graph."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import onnx
import pytest

from allkit.model.architecture import ARCHITECTURES, VGG16, Architecture

# Deep networks: tests of them are left out of the quick checks.
DEEP = ("resnet50", "resnet101", "densenet121")

SIZE_PX, WIDTH, TEMPERATURE = 96, 0.125, 1.5


def each(names: Iterable[str]) -> list:
    """Parameters of a test of several networks; those that are deep are marked so."""
    return [pytest.param(name, marks=pytest.mark.deep) if name in DEEP else name for name in names]


class Network(NamedTuple):
    model: object
    proto: onnx.ModelProto
    temperature: float
    feature_shape: tuple[int, int, int]
    architecture: Architecture


def random_network(
    recipe=None,
    seed: int = 0,
    size_px: int = SIZE_PX,
    width: float = WIDTH,
    architecture: str = VGG16,
    normalised: np.ndarray | None = None,
) -> Network:
    """The network of a recipe (scratch if None); at 96 px the last map of VGG16 has 3 x 3 positions.

    normalised: images whose statistics batch normalisation has. Otherwise they are drawn, and a deep network may say
    nearly the same of every image.
    """
    from allkit.training.backend import prepare

    prepare()
    import keras

    from allkit.exporting.convert import to_onnx
    from allkit.exporting.fold import folded
    from allkit.exporting.uncertainty import Uncertainty, fit_familiarity, with_uncertainty
    from allkit.runs.recipe import SCRATCH
    from allkit.training.architecture import build

    recipe = recipe or SCRATCH
    keras.utils.set_random_seed(seed)
    found = ARCHITECTURES[architecture]
    model = build(found, size_px, 3, width, recipe)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights(
                [
                    rng.uniform(low, high, layer.gamma.shape)
                    for low, high in ((0.8, 1.2), (-0.1, 0.3), (0, 0.1), (0.5, 1))
                ]
            )
        elif isinstance(layer, keras.layers.Dense):
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])
    if normalised is not None:
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        model(normalised, training=True)
    channels = model.get_layer(found.distance_layer).output.shape[-1]
    uncertainty = Uncertainty(TEMPERATURE, fit_familiarity(rng.normal(size=(80, channels))))
    proto = to_onnx(with_uncertainty(folded(model, found), found.distance_layer, uncertainty))
    _, height, width, channels = model.get_layer(found.last_map).output.shape
    return Network(model, proto, TEMPERATURE, (channels, height, width), found)

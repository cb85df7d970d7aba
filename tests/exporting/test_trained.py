import numpy as np
import pytest

pytest.importorskip("keras")

from allkit.exporting.trained import in_float64, trained_outputs
from allkit.exporting.uncertainty import Uncertainty, fit_familiarity
from networks import each, random_network

IMAGES = np.random.default_rng(1).integers(0, 256, (8, 64, 64, 3), np.uint8)


@pytest.mark.parametrize("name", each(["vgg16", "patchvgg", "mobilenetv2", "darknet19", "resnet101"]))
def test_a_network_in_float64_has_the_same_outputs_but_for_rounding(name):
    width = {"mobilenetv2": 0.35, "resnet101": 1}.get(name, 0.125)
    network = random_network(size_px=64, width=width, architecture=name, normalised=IMAGES)
    model, found = network.model, network.architecture
    channels = model.get_layer(found.distance_layer).output.shape[-1]
    features = np.random.default_rng(2).normal(size=(4 * channels, channels))
    uncertainty = Uncertainty(1.5, fit_familiarity(features))
    exact = in_float64(model)
    assert model.get_layer(found.last_map).output.dtype == "float32"
    assert exact.get_layer(found.last_map).output.dtype == exact.output.dtype == "float64"
    single, double = (trained_outputs(one, found, uncertainty, IMAGES, True) for one in (model, exact))
    for values, others in zip(single, double, strict=True):
        # Apart, so that float64 was computed in; but little.
        assert 0 < np.abs(values - others).max() < 2e-3 * np.abs(others).max()

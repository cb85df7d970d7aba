import numpy as np
import pytest

from allkit.exporting import blocks
from allkit.exporting import quantise as quantising
from allkit.exporting.blocks import block_filters, block_length
from allkit.exporting.measure import open_session, outputs
from allkit.exporting.quantise import calibrate, quantise
from allkit.runs.recipe import PAPER, SCRATCH
from networks import random_network


def convolved(image, filters):
    """A 3 x 3 convolution of (H, W, C) with zeros beyond the border, by the definition: (H, W, O)."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    return sum(
        padded[row : row + height, column : column + width] @ filters[:, :, row, column].T
        for row in range(3)
        for column in range(3)
    )


@pytest.mark.parametrize("length", [1, 2, 3, 6, 12])
def test_filters_over_blocks_give_the_same_integers_in_the_same_places(length):
    rng = np.random.default_rng(0)
    image, filters = rng.integers(0, 256, (8, 12, 3)), rng.integers(-127, 128, (5, 3, 3, 3))
    wide = block_filters(filters, length)
    assert wide.shape == (5 * length, 3 * length, 3, 3)
    found = convolved(image.reshape(8, 12 // length, 3 * length), wide).reshape(8, 12, 5)
    np.testing.assert_array_equal(found, convolved(image, filters))


@pytest.mark.parametrize(
    ("side", "depth", "filters", "length"),
    [
        # Three bytes a pixel are never a multiple of four; the width is padded where it must be.
        (112, 3, 16, 4),
        (150, 3, 64, 4),
        (112, 8, 8, 4),
        (150, 8, 8, 6),
        (112, 16, 16, 2),
        (75, 16, 16, 3),
        (77, 16, 16, 1),
        (112, 16, 32, 1),
        (56, 64, 128, 1),
        # A width multiplier of 0.3 gives 19 channels, 38, 77 ...
        (112, 19, 19, 1),
        (9, 154, 154, 1),
    ],
)
def test_blocks_have_up_to_48_filters_and_a_depth_of_a_multiple_of_four(side, depth, filters, length):
    assert block_length(side, depth, filters) == length


@pytest.mark.parametrize("size_px", [96, 98, 99])
@pytest.mark.parametrize("recipe", [SCRATCH, PAPER.override(weights="random")])
def test_a_quantised_network_says_exactly_the_same_in_blocks(size_px, recipe, monkeypatch):
    network = random_network(recipe, size_px=size_px)
    noise = np.random.default_rng(0).integers(0, 256, (4, size_px, size_px, 3)).astype(np.uint8)
    calibration = calibrate(network.proto, network.architecture, noise)["min-max"]
    found = quantise(network.proto, network.architecture, calibration)
    monkeypatch.setattr(blocks, "block_length", lambda side, depth, filters: 1)
    plain = quantise(network.proto, network.architecture, calibration)
    assert sum("_in_" in node.name for node in found.graph.node) > 3
    assert not any("_in_" in node.name for node in plain.graph.node)
    for output in ("probabilities", "distance"):
        (expected,), (got,) = (outputs(open_session(proto), [output], noise) for proto in (plain, found))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("size_px", "width"), [(96, 0.25), (104, 0.25), (96, 0.5), (40, 0.125), (32, 0.0625)])
def test_a_quantised_network_on_patches_says_exactly_the_same_without_moving_them(size_px, width, monkeypatch):
    network = random_network(architecture="patchvgg", size_px=size_px, width=width)
    noise = np.random.default_rng(0).integers(0, 256, (4, size_px, size_px, 3)).astype(np.uint8)
    calibration = calibrate(network.proto, network.architecture, noise)["min-max"]
    found = quantise(network.proto, network.architecture, calibration)
    for name in ("in_blocks", "patches_in_blocks"):
        monkeypatch.setattr(quantising, name, lambda *_: None)
    plain = quantise(network.proto, network.architecture, calibration)
    for output in ("probabilities", "distance"):
        (expected,), (got,) = (outputs(open_session(proto), [output], noise) for proto in (plain, found))
        assert np.ptp(expected, axis=0).max() > 0
        np.testing.assert_array_equal(got, expected)


def test_layers_left_in_float_have_no_blocks(network, noise):
    proto = quantise(
        network.proto,
        network.architecture,
        calibrate(network.proto, network.architecture, noise)["min-max"],
        ["block1_conv1", "block1_conv2"],
    )
    assert not [node.name for node in proto.graph.node if node.name.startswith("block1") and "_in_" in node.name]

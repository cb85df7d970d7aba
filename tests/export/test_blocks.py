import numpy as np
import pytest

from allkit.export import blocks
from allkit.export.blocks import block_filters, block_length
from allkit.export.measure import open_session, outputs
from allkit.export.quantise import calibrate, quantise


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
    ("size_px", "channels", "length"),
    [(150, 16, 6), (112, 16, 8), (200, 64, 2), (300, 64, 2), (151, 16, 1), (96, 200, 1)],
)
def test_a_block_divides_the_width_and_makes_no_more_than_128_channels(size_px, channels, length):
    assert block_length(size_px, channels) == length


def test_a_quantised_network_says_exactly_the_same_in_blocks(network, noise, monkeypatch):
    ranges = calibrate(network.proto, noise)["min-max"]
    found = quantise(network.proto, ranges)
    monkeypatch.setattr(blocks, "block_length", lambda size_px, channels: 1)
    plain = quantise(network.proto, ranges)
    filters = [
        next(item.dims[0] for item in proto.graph.initializer if item.name == "block1_conv1.weight_quantized")
        for proto in (plain, found)
    ]
    assert filters == [8, 128]
    for a, b in zip(
        *(outputs(open_session(p), ["probabilities", "distance"], noise) for p in (plain, found)), strict=True
    ):
        np.testing.assert_array_equal(a, b)

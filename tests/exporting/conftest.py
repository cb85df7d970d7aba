"""Networks with weights that mean nothing, as graphs, small enough to export in a second."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def network():
    """A slim VGG16 at 96 px with three classes, its calibrated twin as a tidy graph, and the temperature."""
    from networks import random_network

    return random_network()


@pytest.fixture(scope="session")
def patched():
    """The same for the network on patches of pixels, whose head is pooled; its last map has 6 x 6 positions."""
    from networks import random_network

    return random_network(architecture="patchvgg")


@pytest.fixture(scope="session", params=["network", "patched"])
def either(request):
    """Networks with a dense and with a pooled head."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def noise():
    return np.random.default_rng(0).integers(0, 256, (12, 96, 96, 3)).astype(np.uint8)

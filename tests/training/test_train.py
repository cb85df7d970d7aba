import pytest

from allkit.training.backend import prepare

prepare()

from allkit.images import PixelPath  # noqa: E402
from allkit.training import architecture, train  # noqa: E402
from allkit.training.recipe import PAPER  # noqa: E402
from allkit.training.run import Settings  # noqa: E402


def test_weights_that_a_checkpoint_will_replace_are_not_fetched_again(monkeypatch):
    def fetch(model, source):
        raise ConnectionError(source)

    monkeypatch.setattr(train, "load_imagenet", fetch)
    settings = Settings("vgg16", PixelPath(32), 1.0, 0, PAPER, ("a", "b"), "")
    with pytest.raises(ConnectionError, match="imagenet"):
        train.build_model(settings)
    model = train.build_model(settings, pretrained=False)
    trained = {layer.name for layer in model.layers if layer.trainable_weights}
    # The paper: block1_conv1 ... block4_conv3 and the head train, block 5 stays frozen.
    assert trained == {name for name in architecture.conv_names() if name < "block5"} | {"fc", "probabilities"}

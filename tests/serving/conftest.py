import pytest

pytest.importorskip("starlette")

from allkit import Classifier
from allkit.serving.app import Limits, Server
from models import tiny_model

MAP = {"method": "HiResCAM", "layer": "image", "stride_px": 1, "height": 8, "width": 8}


@pytest.fixture
def classifier(tmp_path):
    model = tiny_model(tmp_path / "m.onnx", heatmap=MAP)
    return Classifier(model, device="cpu", batch_size=4, workers=2, threads=1)


@pytest.fixture
def server(classifier):
    made = Server(classifier, Limits(most_bytes=100_000, upload_s=2.0, answer_s=5.0, most_waiting=8))
    yield made
    made.engine.close()

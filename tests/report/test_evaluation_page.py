import base64
import re

import cv2
import numpy as np
import pytest

from allkit.evaluation.job import EvaluateOptions, evaluate
from allkit.report.evaluation_page import evaluation_page
from models import flat, tiny_model


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Two of three reds and one green look it; one red, in a file with a strange name, is green."""
    root = tmp_path_factory.mktemp("tree")
    for name, images in (("red", [flat(96, 0, 0), flat(64, 0, 0), flat(0, 64, 0)]), ("green", [flat(0, 96, 0)])):
        (root / name).mkdir()
        for i, image in enumerate(images):
            cv2.imwrite(str(root / name / f"<b>{i}.png"), image[:, :, ::-1])
    models = [tiny_model(root.parent / "one.onnx"), tiny_model(root.parent / "two.onnx", temperature=2.0)]
    return evaluate(EvaluateOptions(models, root, device="cpu", positive=["red"]))


def test_a_misclassified_image_is_pictured_with_its_label_and_truth(result):
    page = evaluation_page(result)
    assert page.count("Misclassified images: 1</h3>") == 2
    assert "<b>green</b> 66.7\N{NO-BREAK SPACE}%, in truth <b>red</b>" in page
    assert "red/&lt;b&gt;2.png" in page
    encoded = re.search(r'src="data:image/jpeg;base64,([^"]+)"', page)[1]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
    # Green, in OpenCV's BGR.
    assert np.abs(picture.mean((0, 1)) - (0, 64, 0)).max() < 3


def test_a_page_has_the_figures_of_every_model_and_pair(result):
    page = evaluation_page(result)
    assert "<h2>one.onnx</h2>" in page
    assert "<h2>two.onnx</h2>" in page
    assert "Pairs on the same images" in page
    assert "(red against the rest)" in page
    assert not re.search(r"<script|@import|\b(src|href)=(?!\"(data:|#))", page)

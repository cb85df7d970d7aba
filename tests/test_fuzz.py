"""No mutation of an image or a contract may end in anything but a result or an AllkitError."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allkit import Classifier
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.model.contract import METADATA_KEY, Contract
from models import flat, tiny_contract, tiny_model

BOUNDED = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)
IMAGES = {suffix: cv2.imencode(suffix, NOISE)[1].tobytes() for suffix in (".jpg", ".png", ".bmp", ".tiff", ".webp")}
RECORD = json.loads(tiny_contract().to_json())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated_images(draw) -> bytes:
    """An encoded image with some bytes changed, cut off or put in between."""
    data = bytearray(IMAGES[draw(st.sampled_from(sorted(IMAGES)))])
    for _ in range(draw(st.integers(1, 12))):
        place = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["change", "cut", "insert"]))
        if kind == "change":
            data[place] = draw(st.integers(0, 255))
        elif kind == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
        elif place:
            del data[place : place + draw(st.integers(1, 64))]
    return bytes(data)


@BOUNDED
@given(mutated_images(), st.sampled_from([1, 2]))
def test_a_mutated_image_is_an_image_or_an_error(data, scale):
    try:
        image = PixelPath(16, jpeg_scale=scale).load(data)
    except AllkitError:
        return
    assert (image.shape, image.dtype) == ((16, 16, 3), np.uint8)


@BOUNDED
@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_an_error(data):
    with pytest.raises(AllkitError):
        PixelPath(16).load(data)


@BOUNDED
@given(st.data())
def test_a_mutated_contract_text_is_a_contract_or_an_error(data):
    text = tiny_contract().to_json()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    with contextlib.suppress(AllkitError):
        Contract.from_json(text[:start] + data.draw(st.text(max_size=20)) + text[end:])


@BOUNDED
@given(st.sampled_from(sorted(RECORD)), JSON)
def test_a_model_with_a_mutated_contract_classifies_or_is_refused(tmp_path, field, value):
    path = tmp_path / "m.onnx"
    if not path.exists():
        tiny_model(path)
    proto = onnx.load(path)
    onnx.helper.set_model_props(proto, {METADATA_KEY: json.dumps({**RECORD, field: value})})
    (tmp_path / "mutated.onnx").write_bytes(proto.SerializeToString())
    try:
        (prediction,) = Classifier(tmp_path / "mutated.onnx", device="cpu")([flat(96, 64, 0)])
    except AllkitError:
        return
    assert prediction.error is None
    assert prediction.label is not None


def test_damaged_images_of_every_format_give_pixels_or_an_error():
    script = Path(__file__).parents[1] / "benchmarks" / "fuzz" / "images.py"
    done = subprocess.run([sys.executable, script, "--count", "300"], capture_output=True, text=True)
    record = json.loads(done.stdout)
    assert (done.returncode, record["violations"]) == (0, [])
    assert sum(record["counts"].values()) == 300
    assert {kind.split()[0] for kind in record["counts"]} >= {"JPEG", "PNG", "TIFF", "BMP", "WebP"}

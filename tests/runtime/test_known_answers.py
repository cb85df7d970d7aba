import json

import numpy as np
import onnx
import onnxruntime
import pytest

from allkit import Classifier
from allkit.errors import AllkitError
from allkit.model.file import read_model
from allkit.runtime import kernels, known_answers, session, verdicts
from allkit.runtime.kernels import Kernels
from allkit.runtime.session import Model
from models import flat, resealed, tiny_model


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def with_answers(path, **changes):
    """The model with other known answers."""
    proto = onnx.load(path)
    answers = {**read_model(path).contract.known_answers, **changes}
    onnx.save(resealed(proto, known_answers=answers), path)
    return path


def test_the_drawn_images_are_the_same_everywhere():
    images = known_answers.draw(112)
    assert (images.shape, images.dtype) == ((4, 112, 112, 3), np.uint8)
    # Of a run on another machine and version of NumPy: files in use carry answers to these very images.
    assert known_answers._hash(images).startswith("ac93b06627d3e086")
    assert len({image.tobytes() for image in images}) == 4


def test_the_answers_are_what_the_graph_says(tmp_path):
    """The tiny model's arithmetic is known: odds of 2 to the power of a channel's mean divided by 32."""
    answers = read_model(tiny_model(tmp_path / "m.onnx")).contract.known_answers
    means = known_answers.draw(8).reshape(4, -1, 3).mean(1)
    odds = 2 ** (means / 32)
    assert np.allclose(answers["probabilities"], odds / odds.sum(1, keepdims=True), atol=1e-5)
    assert np.allclose(answers["distance"], means.mean(1), rtol=1e-5)
    assert answers["heatmap"] is None


def test_a_digest_is_the_mean_of_nine_regions():
    maps = np.arange(36.0).reshape(1, 6, 6)
    # The top left region holds 0, 1, 6 and 7; the next one is two columns on, the one below two rows.
    expected = [[3.5 + 2 * column + 12 * row for row in range(3) for column in range(3)]]
    assert known_answers._digests(maps).tolist() == expected
    assert known_answers._digests(np.ones((2, 1, 2))).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("probability", "distance", "heatmap", "fits"),
    [
        (0.0, 0.0, None, True),
        (0.02, 0.02, 0.05, True),
        (0.05, 0.0, None, False),
        (0.0, 0.05, None, False),
        (0.0, 0.0, 0.2, False),
        (float("inf"), 0.0, None, False),
    ],
)
def test_rounding_is_tolerated_and_nothing_more(probability, distance, heatmap, fits):
    assert known_answers.Differences(probability, distance, heatmap).tolerable is fits


def test_answers_that_are_no_numbers_differ_infinitely(tmp_path):
    answers = read_model(tiny_model(tmp_path / "m.onnx")).contract.known_answers
    images = known_answers.draw(8)
    nothing = np.full((4, 3), np.nan, np.float32), np.full(4, np.nan, np.float32), None
    found = known_answers.differences(answers, images, lambda batch: nothing)
    assert (found.probability, found.distance, found.tolerable) == (float("inf"), float("inf"), False)


def test_a_session_that_answers_wrongly_is_not_used(tmp_path):
    path = with_answers(tiny_model(tmp_path / "m.onnx"), distance=[1.0, 2.0, 3.0, 4.0])
    with pytest.raises(AllkitError, match=r"m\.onnx gives wrong answers.*fastest.*precise.*unoptimised"):
        Model(path)


def test_answers_to_other_images_are_no_answers(tmp_path):
    path = with_answers(tiny_model(tmp_path / "m.onnx"), drawing="0" * 64)
    with pytest.raises(AllkitError, match=r"m\.onnx has known answers .* does not draw"):
        Model(path)


class Saturating:
    """A session on the CPU whose fastest kernels give half of each distance, as saturating ones might."""

    def __init__(self, real, wrong):
        self._real, self._wrong = real, wrong

    def run(self, names, *rest):
        results = self._real.run(names, *rest)
        return [results[0], results[1] / 2, *results[2:]] if self._wrong else results

    def __getattr__(self, name):
        return getattr(self._real, name)


def wrong_where(monkeypatch, condition):
    real, opened = onnxruntime.InferenceSession, []

    def make(data, options=None, **rest):
        opened.append(options)
        return Saturating(real(data, options, **rest), condition(options))

    monkeypatch.setattr(onnxruntime, "InferenceSession", make)
    return opened


def precise(options):
    try:
        return options.get_session_config_entry("session.x64quantprecision") == "1"
    except RuntimeError:
        return False


def optimised(options):
    return options.graph_optimization_level != onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


@pytest.mark.parametrize(
    ("wrong", "kind", "notice"),
    [
        (lambda options: not precise(options), Kernels.PRECISE, "saturate"),
        (optimised, Kernels.UNOPTIMISED, "unoptimised"),
    ],
)
def test_the_fastest_kernels_that_answer_rightly_are_taken_and_remembered(tmp_path, monkeypatch, wrong, kind, notice):
    path = tiny_model(tmp_path / "m.onnx")
    opened = wrong_where(monkeypatch, wrong)
    model = Model(path)
    assert model.kernels is kind
    assert notice in model.notice
    assert "\n" not in model.notice
    assert model.run(flat(96, 64, 32)[None]).distance.tolist() == [64.0]
    assert Classifier(path, device="cpu").notice == model.notice
    opened.clear()
    assert Model(path).kernels is kind
    assert len(opened) == 1, "what is known is not tried again"


def test_nothing_is_asked_twice_and_another_file_version_or_machine_is_another_question(tmp_path, monkeypatch):
    path = tiny_model(tmp_path / "m.onnx")
    asked = []
    real = session.differences
    monkeypatch.setattr(session, "differences", lambda *rest: asked.append(1) or real(*rest))
    for _ in range(2):
        Model(path)
    assert len(asked) == 1
    Model(tiny_model(tmp_path / "other.onnx", bias=[0.1, 0, 0]))
    assert len(asked) == 2
    monkeypatch.setattr(verdicts, "identity", lambda: "another processor")
    Model(path)
    monkeypatch.setattr(onnxruntime, "__version__", "0.0")
    Model(path)
    assert len(asked) == 4


@pytest.mark.parametrize("content", ["", "[]", "{half", '{"a": 1}'])
def test_a_damaged_memory_is_no_memory(tmp_path, content):
    path = tiny_model(tmp_path / "m.onnx")
    Model(path)
    cache = tmp_path / "cache" / "allkit" / "verdicts.json"
    assert list(json.loads(cache.read_text()).values()) == ["fastest"]
    cache.write_text(content)
    assert Model(path).kernels is Kernels.FASTEST
    cache.write_text(json.dumps(dict.fromkeys(json.loads(cache.read_text() or "{}"), "unheard of")))
    assert Model(path).kernels is Kernels.FASTEST


def test_where_int8_saturates_the_fastest_kernels_are_not_even_tried(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "saturates", lambda: True)
    eight = read_model(tiny_model(tmp_path / "8.onnx", precision="int8", quantisation={"weight_bits": 8})).contract
    seven = read_model(tiny_model(tmp_path / "7.onnx", precision="int8", quantisation={"weight_bits": 7})).contract
    fp32 = read_model(tiny_model(tmp_path / "32.onnx")).contract
    assert session.known_kernels(eight) == [Kernels.PRECISE, Kernels.UNOPTIMISED]
    assert session.known_kernels(seven) == session.known_kernels(fp32) == list(Kernels)


def test_the_exporter_takes_exact_kernels_too(monkeypatch, tmp_path):
    from allkit.exporting import measure

    proto = onnx.load(tiny_model(tmp_path / "m.onnx"))
    monkeypatch.setattr(kernels, "saturates", lambda: True)
    assert precise(measure.open_session(proto).get_session_options())
    assert not precise(measure.open_session(proto, Kernels.FASTEST).get_session_options())

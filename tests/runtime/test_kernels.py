import numpy as np
import onnx
import pytest

from allkit.runtime import kernels
from allkit.runtime.kernels import Kernels, exact_kernels, saturates, session_options
from allkit.runtime.machine import processor
from saturation import probe


def test_the_probe_is_the_one_that_the_script_makes():
    assert onnx.load(kernels._PROBE).graph == probe().graph


class Answering:
    """A session that sums as processors do that add pairs of products in 16 bits, or exactly."""

    def __init__(self, *_, pair, **__):
        self._pair = pair

    def run(self, names, feeds):
        total = feeds["rows"].shape[1] // 2 * self._pair
        return [np.full((1, 16), total, np.int32), np.full((1, 16, 1, 1), min(255, total // (64 * 127)), np.uint8)]


@pytest.mark.parametrize(("pair", "expected"), [(2 * 255 * 127, False), (2**15 - 1, True)])
def test_sums_that_are_cut_off_at_16_bits_are_saturation(monkeypatch, pair, expected):
    monkeypatch.setattr(kernels.onnxruntime, "InferenceSession", lambda *a, **k: Answering(pair=pair))
    saturates.cache_clear()
    try:
        assert saturates() is expected
        assert exact_kernels() is (Kernels.PRECISE if expected else Kernels.FASTEST)
    finally:
        saturates.cache_clear()


def test_this_processor_is_told_right():
    if ", VNNI" not in processor():
        pytest.skip("for a processor with VNNI, which is known not to saturate")
    assert not saturates()


def test_each_choice_of_kernels_has_its_options():
    def key(options):
        try:
            return options.get_session_config_entry("session.x64quantprecision")
        except RuntimeError:
            return None

    assert [key(session_options(1, kind)) for kind in Kernels] == [None, "1", "1"]
    levels = [session_options(1, kind).graph_optimization_level.name for kind in Kernels]
    assert levels == ["ORT_ENABLE_ALL", "ORT_ENABLE_ALL", "ORT_DISABLE_ALL"]

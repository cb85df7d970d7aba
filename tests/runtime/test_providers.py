from pathlib import Path

import onnxruntime
import pytest

from allkit.errors import AllkitError
from allkit.runtime import providers
from allkit.support.files import cache_folder
from models import tiny_contract, tiny_model

FILE = Path("m.onnx")


def offer(monkeypatch, *names):
    """As if onnxruntime had been built with these providers and the CPU's."""
    available = [f"{name}ExecutionProvider" for name in (*names, "CPU")]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)


def test_an_unknown_device_is_refused_with_the_known_ones():
    with pytest.raises(AllkitError, match="unknown device 'gpu': give one of auto, cpu, cuda, tensorrt"):
        providers.provider_for("gpu")


def test_a_device_stands_for_a_provider(monkeypatch):
    offer(monkeypatch, "Tensorrt", "CUDA")
    found = {device: providers.provider_for(device) for device in ("cpu", "cuda", "tensorrt", "auto")}
    assert found == {
        "cpu": "CPUExecutionProvider",
        "cuda": "CUDAExecutionProvider",
        "tensorrt": "TensorrtExecutionProvider",
        "auto": "CUDAExecutionProvider",
    }


@pytest.mark.parametrize(
    ("build", "driver", "provider"),
    [([], None, "CPU"), ([], object(), "CUDA"), (["CUDA"], None, "CUDA"), (["CUDA"], object(), "CUDA")],
)
def test_auto_tries_cuda_where_the_build_or_the_machine_is_made_for_it(monkeypatch, build, driver, provider):
    offer(monkeypatch, *build)
    monkeypatch.setattr(providers, "driver", lambda: driver)
    assert providers.provider_for("auto") == f"{provider}ExecutionProvider"


def test_any_provider_of_the_build_can_be_named_as_people_call_it(monkeypatch):
    offer(monkeypatch, "OpenVINO", "Dml", "CoreML")
    found = [providers.provider_for(device) for device in ("openvino", "directml", "coreml")]
    assert found == ["OpenVINOExecutionProvider", "DmlExecutionProvider", "CoreMLExecutionProvider"]
    with pytest.raises(AllkitError, match=r"give one of .*openvino, directml, coreml"):
        providers.provider_for("qnn")


def test_cuda_is_asked_for_graphs_first_and_then_without():
    first, second = providers.requests("CUDAExecutionProvider", FILE, tiny_contract())
    assert (providers.wants_graphs(first), providers.wants_graphs(second)) == (True, False)
    assert [request[1] for request in (first, second)] == ["CPUExecutionProvider"] * 2
    assert first[0][0] == second[0][0] == "CUDAExecutionProvider"
    assert first[0][1]["cudnn_conv_algo_search"] == second[0][1]["cudnn_conv_algo_search"] == "HEURISTIC"


@pytest.mark.parametrize(
    ("precision", "nhwc", "expected"), [("fp32", None, "0"), ("fp16", None, "1"), ("fp32", True, "1")]
)
def test_channels_come_last_on_cuda_in_float16_or_when_told(precision, nhwc, expected):
    for request in providers.requests("CUDAExecutionProvider", FILE, tiny_contract(precision=precision), nhwc):
        assert request[0][1]["prefer_nhwc"] == expected


def test_tensorrt_keeps_its_engines_and_falls_back_to_cuda(tmp_path):
    path = tiny_model(tmp_path / "m.onnx")
    (request,) = providers.requests("TensorrtExecutionProvider", path, tiny_contract(size_px=64, precision="fp16"))
    (name, options), (second, _), last = request
    assert (name, second, last) == ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    assert options["trt_engine_cache_enable"] == "1"
    # The provider makes the last folder of a path only.
    assert Path(options["trt_engine_cache_path"]).is_dir()
    assert Path(options["trt_engine_cache_path"]).parent == cache_folder() / "tensorrt"
    assert options["trt_fp16_enable"] == "1"
    assert options["trt_profile_min_shapes"] == "image:1x64x64x3"
    assert options["trt_profile_max_shapes"] == "image:256x64x64x3"


def test_a_model_trained_anew_has_engines_of_its_own(tmp_path):
    folders = set()
    for bias in ([0, 0, 0], [1, 0, 0], [0, 0, 0]):
        path = tiny_model(tmp_path / "m.onnx", bias=bias)
        (((_, options), *_),) = providers.requests("TensorrtExecutionProvider", path, tiny_contract())
        folders.add(options["trt_engine_cache_path"])
    assert len(folders) == 2


def test_int8_on_tensorrt_has_no_profiles(tmp_path):
    path = tiny_model(tmp_path / "m.onnx")
    (((_, options), *_),) = providers.requests("TensorrtExecutionProvider", path, tiny_contract(precision="int8"))
    assert not [name for name in options if "profile" in name]


def test_without_a_cache_engines_are_not_kept(tmp_path):
    cache_folder().parent.write_text("a file")
    model = tiny_model(tmp_path / "m.onnx")
    (((_, options), *_),) = providers.requests("TensorrtExecutionProvider", model, tiny_contract())
    assert not [name for name in options if "cache" in name]
    assert options["trt_profile_min_shapes"].startswith("image:1x")


def test_another_provider_is_asked_for_as_it_is():
    expected = [["OpenVINOExecutionProvider", "CPUExecutionProvider"]]
    assert providers.requests("OpenVINOExecutionProvider", FILE, tiny_contract()) == expected

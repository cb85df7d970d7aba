import ctypes
import subprocess
import sys

import onnxruntime
import pytest

from allkit.errors import AllkitError
from allkit.runtime import providers
from allkit.runtime.session import Model
from models import tiny_model


def has_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


without_gpu = pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")


def test_an_unknown_device_is_refused_with_the_known_ones():
    with pytest.raises(AllkitError, match="unknown device 'gpu': give one of auto, cpu, cuda, tensorrt"):
        providers.providers_for("gpu")


def test_the_wanted_provider_comes_first_and_the_cpu_last():
    first = {device: providers.providers_for(device)[0] for device in ("cpu", "cuda", "tensorrt", "auto")}
    assert first == {
        "cpu": "CPUExecutionProvider",
        "cuda": "CUDAExecutionProvider",
        "tensorrt": "TensorrtExecutionProvider",
        "auto": "CUDAExecutionProvider",
    }
    assert {providers.providers_for(device)[-1] for device in first} == {"CPUExecutionProvider"}


@without_gpu
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_that_is_not_there_is_refused_with_the_fix(tmp_path, device):
    with pytest.raises(AllkitError, match=rf"device {device} does not work here: .+pip install .+"):
        Model(tiny_model(tmp_path / "m.onnx"), device)


@without_gpu
def test_auto_falls_back_to_the_cpu_and_says_so_in_one_line(tmp_path):
    model = Model(tiny_model(tmp_path / "m.onnx"), "auto")
    assert model.provider == "CPUExecutionProvider"
    assert model.notice.startswith("running on the CPU: ")
    assert "\n" not in model.notice


@without_gpu
@pytest.mark.parametrize("device", ["auto", "cuda", "tensorrt"])
def test_a_failed_attempt_prints_nothing_of_its_own(tmp_path, device):
    code = (
        "import sys\nfrom allkit import AllkitError\nfrom allkit.runtime.session import Model\n"
        "try:\n    Model(sys.argv[1], sys.argv[2])\nexcept AllkitError:\n    pass"
    )
    path = tiny_model(tmp_path / "m.onnx")
    done = subprocess.run([sys.executable, "-c", code, path, device], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.fixture
def with_driver(monkeypatch):
    """A machine whose onnxruntime has the GPU providers and that has a driver, but no usable CUDA libraries."""
    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(providers, "_has_driver", lambda: True)


@pytest.mark.usefixtures("with_driver")
def test_with_a_driver_the_fix_is_to_install_the_libraries():
    cause, fix = providers.why_missing("CUDAExecutionProvider", "CUDA failure 35")
    assert "CUDA libraries" in cause
    assert "CUDA failure 35" in cause
    assert 'pip install "allkit[cuda]"' in fix


@pytest.mark.usefixtures("with_driver")
def test_the_fix_for_tensorrt_names_its_libraries():
    assert "TensorRT 10" in providers.why_missing("TensorrtExecutionProvider")[1]


def test_a_build_without_the_provider_is_named_as_the_cause(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert providers.why_missing("CUDAExecutionProvider")[0] == "this build of onnxruntime has no CUDA"


class ReportedSession:
    """Stands for a session that reports the given provider."""

    def __init__(self, real, provider):
        self._real, self._provider = real, provider

    def get_providers(self):
        return [self._provider, "CPUExecutionProvider"]

    def __getattr__(self, name):
        return getattr(self._real, name)


@pytest.mark.parametrize("device", ["auto", "cuda"])
@pytest.mark.usefixtures("with_driver")
def test_a_session_that_reports_cuda_is_taken_without_notice(tmp_path, monkeypatch, device):
    real = onnxruntime.InferenceSession

    def session(path, options, providers, enable_fallback):
        return ReportedSession(real(path, options, providers=["CPUExecutionProvider"]), providers[0])

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    model = Model(tiny_model(tmp_path / "m.onnx"), device)
    assert (model.provider, model.notice) == ("CUDAExecutionProvider", None)


@pytest.mark.usefixtures("with_driver")
def test_a_listed_provider_that_the_session_did_not_get_is_refused(tmp_path, monkeypatch):
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, providers, enable_fallback: real(path, options, providers=["CPUExecutionProvider"]),
    )
    with pytest.raises(AllkitError, match="device cuda does not work here: the CUDA libraries"):
        Model(tiny_model(tmp_path / "m.onnx"), "cuda")


@pytest.mark.usefixtures("with_driver")
def test_auto_survives_a_provider_that_raises(tmp_path, monkeypatch):
    real = onnxruntime.InferenceSession

    def session(path, options, providers, enable_fallback):
        if "CUDAExecutionProvider" in providers:
            raise RuntimeError("CUDA failure 35: driver too old")
        return real(path, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    model = Model(tiny_model(tmp_path / "m.onnx"), "auto")
    assert model.provider == "CPUExecutionProvider"
    assert "driver too old" in model.notice
    with pytest.raises(AllkitError, match="driver too old"):
        Model(tmp_path / "m.onnx", "cuda")


@without_gpu
def test_a_damaged_file_is_the_error_whatever_the_device(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"hello")
    for device in ("auto", "cpu", "cuda"):
        if device != "cuda" or "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            with pytest.raises(AllkitError, match="cannot be loaded as an ONNX model"):
                Model(path, device)

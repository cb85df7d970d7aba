"""A device is used where it works; where it does not, it is said why."""

import ctypes
import re
import subprocess
import sys

import onnxruntime
import pytest

from allkit.errors import AllkitError
from allkit.runtime import providers
from allkit.runtime.session import Model
from models import flat, tiny_model


def has_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


without_gpu = pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")


def offer(monkeypatch, *names):
    """As if onnxruntime had been built with these providers and the CPU's."""
    available = [f"{name}ExecutionProvider" for name in (*names, "CPU")]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)


@without_gpu
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_that_is_not_there_is_refused_with_the_fix(tmp_path, device):
    with pytest.raises(AllkitError, match=rf"device {device} does not work here: .+pip install .+"):
        Model(tiny_model(tmp_path / "m.onnx"), device)


@pytest.mark.parametrize(
    ("build", "driver", "cause"),
    [([], object(), "this build of onnxruntime has no CUDA"), (["CUDA"], None, "no NVIDIA driver found")],
)
def test_auto_falls_back_to_the_cpu_and_says_so_in_one_line(tmp_path, monkeypatch, build, driver, cause):
    offer(monkeypatch, *build)
    monkeypatch.setattr(providers, "driver", lambda: driver)
    model = Model(tiny_model(tmp_path / "m.onnx"), "auto")
    assert model.provider == "CPUExecutionProvider"
    assert model.notice == f"running on the CPU: {cause}"


def test_on_a_machine_without_a_gpu_the_plain_build_runs_without_a_notice(tmp_path, monkeypatch):
    offer(monkeypatch)
    monkeypatch.setattr(providers, "driver", lambda: None)
    model = Model(tiny_model(tmp_path / "m.onnx"), "auto")
    assert (model.provider, model.notice) == ("CPUExecutionProvider", None)


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
    monkeypatch.setattr(providers, "driver", lambda: object())


@pytest.mark.usefixtures("with_driver")
def test_with_a_driver_the_fix_is_to_install_the_libraries():
    cause, fix = providers.why_missing("CUDAExecutionProvider", "CUDA failure 35")
    assert "CUDA libraries" in cause
    assert "CUDA failure 35" in cause
    assert 'pip install "onnxruntime-gpu[cuda,cudnn]"' in fix


@pytest.mark.usefixtures("with_driver")
def test_the_fix_for_tensorrt_names_its_libraries():
    assert "TensorRT 10" in providers.why_missing("TensorrtExecutionProvider", "")[1]


SWAP = 'pip uninstall --yes onnxruntime onnxruntime-gpu && pip install "onnxruntime-gpu[cuda,cudnn]"'


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_that_the_build_does_not_have_is_refused_with_the_build_that_has_it(tmp_path, monkeypatch, device):
    offer(monkeypatch)
    with pytest.raises(AllkitError, match=r"this build of onnxruntime has no \w+; " + re.escape(SWAP)):
        Model(tiny_model(tmp_path / "m.onnx"), device)


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_two_builds_of_onnxruntime_are_noticed_with_the_fix(tmp_path, monkeypatch, device):
    offer(monkeypatch)
    monkeypatch.setattr(providers, "driver", lambda: None)
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "onnxruntime" / "__init__.py"))
    path = tiny_model(tmp_path / "m.onnx")
    # Others share the name and no file.
    for name in ("onnxruntime_gpu-1.31.1", "onnxruntime_extensions-0.14.0"):
        (tmp_path / f"{name}.dist-info").mkdir()
    assert Model(path, device).notice is None
    (tmp_path / "onnxruntime-1.32.0.dist-info").mkdir()
    assert Model(path, device).notice == f"onnxruntime and onnxruntime-gpu overwrite each other: {SWAP}"


class ReportedSession:
    """Stands for a session that reports the given provider."""

    def __init__(self, real, provider):
        self._real, self._provider = real, provider

    def get_providers(self):
        return [self._provider, "CPUExecutionProvider"]

    def __getattr__(self, name):
        return getattr(self._real, name)


def answering(monkeypatch, refused=lambda request: False):
    """Sessions that report what they were asked for first, and run on the CPU; RuntimeError for a refused request."""
    real, asked = onnxruntime.InferenceSession, []

    def session(path, options, providers, enable_fallback=0):
        asked.append(providers)
        if refused(providers):
            raise RuntimeError("CUDA failure 35: driver too old")
        made = real(path, options, providers=["CPUExecutionProvider"])
        wanted = providers[0]
        return ReportedSession(made, wanted if isinstance(wanted, str) else wanted[0])

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return asked


@pytest.mark.parametrize("device", ["auto", "cuda", "CUDA"])
@pytest.mark.usefixtures("with_driver")
def test_a_session_that_reports_cuda_is_taken_without_notice(tmp_path, monkeypatch, device):
    answering(monkeypatch)
    model = Model(tiny_model(tmp_path / "m.onnx"), device)
    assert (model.provider, model.notice, model.graphs) == ("CUDAExecutionProvider", None, True)
    # The first run of a size needs no buffers on a GPU, so that this path is tested here too.
    assert model.run(flat(32, 0, 0)[None]).probabilities.tolist() == [pytest.approx([0.5, 0.25, 0.25], abs=1e-6)]


@pytest.mark.usefixtures("with_driver")
def test_where_graphs_are_refused_cuda_is_taken_without(tmp_path, monkeypatch):
    path = tiny_model(tmp_path / "m.onnx")
    asked = answering(monkeypatch, lambda request: len(request) > 1 and providers.wants_graphs(request))
    model = Model(path, "cuda")
    assert model.provider == "CUDAExecutionProvider"
    assert [providers.wants_graphs(request) for request in asked if len(request) > 1] == [True, False]


def test_a_provider_of_another_build_is_taken_when_the_session_reports_it(tmp_path, monkeypatch):
    offer(monkeypatch, "OpenVINO")
    answering(monkeypatch)
    model = Model(tiny_model(tmp_path / "m.onnx"), "openvino")
    assert model.provider == "OpenVINOExecutionProvider"
    assert model.run(flat(96, 64, 0)[None]).probabilities.tolist() == [
        pytest.approx([8 / 13, 4 / 13, 1 / 13], abs=1e-6)
    ]


def test_a_provider_of_another_build_that_the_session_did_not_get_is_refused(tmp_path, monkeypatch):
    offer(monkeypatch, "OpenVINO")
    answering(monkeypatch, lambda request: request[0] == "OpenVINOExecutionProvider")
    with pytest.raises(AllkitError, match=r"device openvino does not work here: .*driver too old"):
        Model(tiny_model(tmp_path / "m.onnx"), "openvino")


@pytest.mark.usefixtures("with_driver")
def test_a_listed_provider_that_the_session_did_not_get_is_refused(tmp_path, monkeypatch):
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, providers, enable_fallback=0: real(path, options, providers=["CPUExecutionProvider"]),
    )
    with pytest.raises(AllkitError, match="device cuda does not work here: the CUDA libraries"):
        Model(tiny_model(tmp_path / "m.onnx"), "cuda")


@pytest.mark.usefixtures("with_driver")
def test_auto_survives_a_provider_that_raises(tmp_path, monkeypatch):
    answering(monkeypatch, lambda request: request[0][0] == "CUDAExecutionProvider")
    model = Model(tiny_model(tmp_path / "m.onnx"), "auto")
    assert model.provider == "CPUExecutionProvider"
    assert "driver too old" in model.notice
    with pytest.raises(AllkitError, match="driver too old"):
        Model(tmp_path / "m.onnx", "cuda")


def test_without_a_driver_no_session_is_tried(tmp_path, monkeypatch):
    offer(monkeypatch, "CUDA")
    monkeypatch.setattr(providers, "driver", lambda: None)
    path = tiny_model(tmp_path / "m.onnx")
    asked = answering(monkeypatch)
    assert Model(path, "auto").notice == "running on the CPU: no NVIDIA driver found"
    assert asked == [["CPUExecutionProvider"]]


@pytest.mark.usefixtures("with_driver")
@pytest.mark.parametrize("device", ["auto", "cpu", "cuda"])
def test_a_damaged_file_is_the_error_whatever_the_device(tmp_path, device):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"hello")
    with pytest.raises(AllkitError, match="cannot be read as an ONNX model"):
        Model(path, device)


class Wrong(ReportedSession):
    """A session of a device that halves the distances."""

    def run(self, *rest):
        probabilities, distance, *maps = self._real.run(*rest)
        return [probabilities, distance / 2, *maps]


@pytest.mark.usefixtures("with_driver")
def test_a_device_whose_answers_differ_is_not_used_and_its_libraries_are_not_blamed(tmp_path, monkeypatch):
    path = tiny_model(tmp_path / "m.onnx")
    real = onnxruntime.InferenceSession

    def session(data, options, providers, enable_fallback=0):
        made = real(data, options, providers=["CPUExecutionProvider"])
        return made if providers == ["CPUExecutionProvider"] else Wrong(made, "CUDAExecutionProvider")

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    model = Model(path, "auto")
    assert model.provider == "CPUExecutionProvider"
    # Distances are halved: half of the true one is the largest relative difference.
    reason = (
        "CUDA runs m.onnx, but its answers differ from the known ones: difference of a probability 0.0000 (allowed "
    )
    assert model.notice.startswith(f"running on the CPU: {reason}")
    assert "of a distance 0.5000 (allowed 0.03)" in model.notice
    assert "libraries" not in model.notice
    assert model.run(flat(96, 64, 32)[None]).distance.tolist() == [64.0]
    fix = r"does not work here: CUDA runs .*; use a file of another precision, or choose the device auto or cpu"
    with pytest.raises(AllkitError, match=fix) as caught:
        Model(path, "cuda")
    assert "libraries" not in str(caught.value)

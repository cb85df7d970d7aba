"""Which hardware a session asks for, and what to say if it does not get it.

onnxruntime lists the providers it was built with. Whether one works is only known once a session has been created, so
nothing here promises a device: `session` asks, checks what it got, and comes back for the explanation.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime

from allkit.errors import AllkitError
from allkit.model.contract import INPUT_NAME, Contract
from allkit.support.files import content_hash, writable_cache

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
# Providers that run on an NVIDIA GPU, with buffers there.
NVIDIA = (CUDA, TENSORRT)

# Devices that are known whatever onnxruntime was built with, beside auto.
_DEVICES = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT}
# Distributions that install the same files: with two of them, those of the one that came last.
_BUILDS = ("onnxruntime", "onnxruntime-gpu")
_GPU_BUILD = 'pip install "onnxruntime-gpu[cuda,cudnn]"'
_SWAP = f"pip uninstall --yes {' '.join(_BUILDS)} && {_GPU_BUILD}"
_SILENT, _WARNING = 4, 2

# Batch sizes for which a TensorRT engine is built: one image, the usual batch, and the largest it may take.
_TENSORRT_BATCHES = {"min": 1, "opt": 32, "max": 256}

# What prevents the use of a provider, and the fix.
Obstacle = tuple[str, str]

# A provider and its options, as onnxruntime takes them.
Request = list[str | tuple[str, dict[str, Any]]]


def provider_for(device: str) -> str:
    """The execution provider that a device stands for; AllkitError for a device that onnxruntime does not have.

    auto is CUDA where this build of onnxruntime has it or the machine an NVIDIA driver, else the CPU.
    """
    available = onnxruntime.get_available_providers()
    automatic = CUDA if CUDA in available or driver() is not None else CPU
    devices = {"auto": automatic, **_DEVICES, **{_called(name).lower(): name for name in available}}
    if device not in devices:
        raise AllkitError(
            f"unknown device {device!r}: give one of {', '.join(devices)}; other builds of onnxruntime have others, "
            "such as onnxruntime-openvino"
        )
    return devices[device]


def requests(provider: str, model: Path, contract: Contract, nhwc: bool | None = None) -> list[Request]:
    """What to ask a session for, best first; each request ends with the CPU, for what the provider cannot run.

    model: the file, which distinguishes its engines from others. nhwc: whether CUDA uses channels-last tensors; None
    for float16 only, where tensor cores benefit. CUDA graphs are requested first: a run recorded once per batch size is
    one launch instead of one per node. onnxruntime refuses them if a node is left to the CPU. float32 products use TF32
    on GPUs that have it, onnxruntime's default.
    """
    options = {
        "cudnn_conv_algo_search": "HEURISTIC",
        "prefer_nhwc": str(int(contract.precision == "fp16" if nhwc is None else nhwc)),
    }
    graphs = [(CUDA, {**options, "enable_cuda_graph": "1"}), CPU]
    if provider == CUDA:
        return [graphs, [(CUDA, options), CPU]]
    if provider == TENSORRT:
        return [[(TENSORRT, _tensorrt_options(model, contract)), (CUDA, options), CPU]]
    return [[provider, CPU]]


def wants_graphs(request: Request) -> bool:
    """Whether a request is for CUDA graphs."""
    return "enable_cuda_graph" in request[0][1]


def _tensorrt_options(model: Path, contract: Contract) -> dict[str, str]:
    # Building an engine takes minutes. The provider identifies engines by names, GPUs and versions, not by weights:
    # without a folder of its own, a retrained model would run with the engines of the old one.
    cache = writable_cache("tensorrt", content_hash(model)[:16])
    size = contract.pixels.size_px
    options = {"trt_fp16_enable": str(int(contract.precision == "fp16"))}
    if cache is not None:
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(cache),
        }
    if contract.precision == "int8":
        # TensorRT does not take uint8 activations, so the graph is partitioned, and every part would need a profile.
        return options
    return options | {
        f"trt_profile_{bound}_shapes": f"{INPUT_NAME}:{batch}x{size}x{size}x3"
        for bound, batch in _TENSORRT_BATCHES.items()
    }


@contextlib.contextmanager
def gpu_attempt() -> Iterator[None]:
    """Load the CUDA libraries installed by pip, and keep the many messages of the attempt off the terminal.

    allkit reports a failed attempt in one line. The library's default log level is restored afterwards.
    """
    onnxruntime.set_default_logger_severity(_SILENT)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
        yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)


def lacking(provider: str) -> Obstacle | None:
    """What prevents a provider from working, if that is known before a session is tried."""
    if provider not in onnxruntime.get_available_providers():
        return f"this build of onnxruntime has no {_called(provider)}", f"{_SWAP} (Linux and Windows on x86-64)"
    if provider in NVIDIA and driver() is None:
        return "no NVIDIA driver found", f"install the NVIDIA driver, then {_GPU_BUILD}"
    return None


def clash() -> str | None:
    """What is wrong, and the fix, where two builds of onnxruntime are installed."""
    # importlib.metadata knows it too, and takes longer to load than a model.
    folder = Path(onnxruntime.__file__).parents[1]
    if not all(any(folder.glob(f"{build.replace('-', '_')}-*.dist-info")) for build in _BUILDS):
        return None
    return f"{' and '.join(_BUILDS)} overwrite each other: {_SWAP}"


def other_answers(provider: str, model: Path, difference: object) -> Obstacle:
    """The obstacle for a provider whose outputs differ from the model's known answers by `difference`."""
    cause = f"{_called(provider)} runs {model.name}, but its answers differ from the known ones: {difference}"
    return cause, "use a file of another precision"


def why_missing(provider: str, detail: str) -> Obstacle:
    """The likely reason why a session did not get a provider although `lacking` finds nothing.

    detail: onnxruntime's message, possibly empty.
    """
    cause = f"the {_called(provider)} libraries are missing or do not fit the driver{detail and f' ({detail})'}"
    if provider not in NVIDIA:
        return cause, f"see onnxruntime's page on {_called(provider)} for what it needs"
    fix = f"{_GPU_BUILD} and check that nvidia-smi shows the GPU"
    if provider == TENSORRT:
        fix += ", and put the TensorRT 10 libraries on the loader's path (LD_LIBRARY_PATH, or PATH on Windows)"
    return cause, fix


def driver() -> ctypes.CDLL | None:
    """The library of the NVIDIA driver, None without one."""
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def _called(provider: str) -> str:
    named = {TENSORRT: "TensorRT", "DmlExecutionProvider": "DirectML"}
    return named.get(provider, provider.removesuffix("ExecutionProvider"))

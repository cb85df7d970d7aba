"""Which hardware a session asks for, and what to say when it does not get it.

The providers that onnxruntime lists are those it was built with. Whether one works shows only when
a session has been made, so nothing here promises a device: `session` asks, reads what it got, and
comes back for the words.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import sys
from collections.abc import Iterator

import onnxruntime

from allkit.errors import AllkitError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

# The provider a device stands for comes first, those that take what it cannot run after it.
_PROVIDERS = {"auto": (CUDA, CPU), "cpu": (CPU,), "cuda": (CUDA, CPU), "tensorrt": (TENSORRT, CUDA, CPU)}
_SILENT, _WARNING = 4, 2


def providers_for(device: str) -> tuple[str, ...]:
    """The execution providers to ask for, the wanted one first; AllkitError for an unknown device."""
    if device not in _PROVIDERS:
        raise AllkitError(f"unknown device {device!r}: give one of {', '.join(_PROVIDERS)}")
    return _PROVIDERS[device]


@contextlib.contextmanager
def gpu_attempt() -> Iterator[None]:
    """Load the CUDA libraries that pip installed, and keep the attempt's many messages off the terminal.

    A failed attempt is reported by allkit in one line. The library's default log level is back afterwards.
    """
    onnxruntime.set_default_logger_severity(_SILENT)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
        yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)


def why_missing(provider: str, detail: str = "") -> tuple[str, str]:
    """The likely cause why a session did not get a GPU provider, and the fix.

    detail: what onnxruntime said, if anything; it goes into the cause where allkit knows no better one.
    """
    name = {CUDA: "CUDA", TENSORRT: "TensorRT"}[provider]
    if provider not in onnxruntime.get_available_providers():
        return (
            f"this build of onnxruntime has no {name}",
            "pip install onnxruntime-gpu (Linux and Windows on x86-64)",
        )
    if not _has_driver():
        return "no NVIDIA driver found", 'install the NVIDIA driver, then pip install "allkit[cuda]"'
    libraries = 'pip install "allkit[cuda]" and check that nvidia-smi shows the GPU'
    if provider == TENSORRT:
        libraries += ", and put the TensorRT 10 libraries on the loader's path (LD_LIBRARY_PATH, or PATH on Windows)"
    return f"the {name} libraries are missing or do not fit the driver{detail and f' ({detail})'}", libraries


def _has_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True

"""GPU runs with buffers that stay in place.

A plain run allocates, copies and launches one kernel per node each time. Here, each batch size has fixed input and
output buffers on the GPU, and with CUDA graphs all launches of a run are recorded once and replayed as one.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import onnxruntime
from onnxruntime import OrtValue

from allkit.model.contract import INPUT_NAME
from allkit.runtime.providers import driver

Result = TypeVar("Result")

# Each has its own buffers and its own recording on the GPU.
_MOST_BINDINGS = 64

# onnxruntime's option for the recording that a run replays, and its value for none.
_GRAPH_ID, _NO_GRAPH = "gpu_graph_id", -1

_GPU_THREAD = "gpu"

# Below this size, pinning takes longer than it saves. The flag is the driver's CU_MEMHOSTREGISTER_PORTABLE.
_LEAST_PINNED_BYTES, _FOR_ALL_CONTEXTS = 2**20, 1


@functools.cache
def _gpu_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, _GPU_THREAD)


def on_gpu(call: Callable[[], Result]) -> Result:
    """Run a call in the one thread of this process that uses the GPU, and return its result.

    A recording belongs to the thread that made it and is spoilt by GPU calls of any other thread meanwhile.
    """
    if threading.current_thread().name.startswith(_GPU_THREAD):
        return call()
    return _gpu_thread().submit(call).result()


class BoundRunner:
    """A session whose runs reuse their buffers, one set for each batch size that is used more than once.

    device: onnxruntime's name for where the buffers are, cuda or cpu. graphs: whether the session records CUDA graphs.
    Runs from several threads take turns (`on_gpu`).
    """

    def __init__(self, session: onnxruntime.InferenceSession, device: str, graphs: bool):
        self._session, self._device, self._graphs = session, device, graphs
        self._bindings: dict[tuple[tuple[str, ...], int], _Binding] = {}
        self._seen: set[tuple[tuple[str, ...], int]] = set()

    def run(self, names: Sequence[str], batch: np.ndarray) -> list[np.ndarray]:
        """The named outputs, float32, for a batch uint8 (n, S, S, 3)."""
        return on_gpu(lambda: self._run(tuple(names), batch))

    def _run(self, names: tuple[str, ...], batch: np.ndarray) -> list[np.ndarray]:
        key = names, len(batch)
        if key not in self._bindings:
            # The last batch of a folder is short and used once: not worth its own buffers.
            if key not in self._seen or len(self._bindings) == _MOST_BINDINGS:
                self._seen.add(key)
                return self._session.run(list(names), {INPUT_NAME: batch}, _options(_NO_GRAPH))
            graph = len(self._bindings) if self._graphs else _NO_GRAPH
            self._bindings[key] = _Binding(self._session, names, batch, self._device, graph)
        return self._bindings[key].run(batch)


class _Binding:
    """The buffers of one batch size and one choice of outputs."""

    def __init__(
        self, session: onnxruntime.InferenceSession, names: Sequence[str], batch: np.ndarray, device: str, graph: int
    ):
        self._session, self._options = session, _options(graph)
        self._binding = session.io_binding()
        self._input = OrtValue.ortvalue_from_shape_and_type(batch.shape, np.uint8, device, 0)
        self._binding.bind_ortvalue_input(INPUT_NAME, self._input)
        shapes = {output.name: output.shape for output in session.get_outputs()}
        self._outputs = [
            OrtValue.ortvalue_from_shape_and_type((len(batch), *shapes[name][1:]), np.float32, device, 0)
            for name in names
        ]
        for name, value in zip(names, self._outputs, strict=True):
            self._binding.bind_ortvalue_output(name, value)

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        self._input.update_inplace(batch)
        self._session.run_with_iobinding(self._binding, self._options)
        self._binding.synchronize_outputs()
        # A copy if the buffer is in host memory: the next run overwrites it.
        return [np.array(value.numpy()) for value in self._outputs]


def _options(graph: int) -> onnxruntime.RunOptions:
    options = onnxruntime.RunOptions()
    options.only_execute_path_to_fetches = True
    options.add_run_config_entry(_GRAPH_ID, str(graph))
    return options


def pinned(shape: Sequence[int], dtype: type) -> np.ndarray:
    """Allocate an array in page-locked memory, which an NVIDIA GPU copies by itself at the full rate of the bus.

    An ordinary array if it is small, without a GPU, or if the driver declines; this only affects speed.
    """
    array = np.empty(shape, dtype)
    if array.nbytes < _LEAST_PINNED_BYTES or (cuda := driver()) is None:
        return array
    address = ctypes.c_void_p(array.ctypes.data)

    def register() -> bool:
        context = _context()
        return (
            context is not None
            and not cuda.cuCtxSetCurrent(context)
            and not cuda.cuMemHostRegister_v2(address, ctypes.c_size_t(array.nbytes), _FOR_ALL_CONTEXTS)
        )

    if on_gpu(register):
        # Unregister before the memory is freed.
        weakref.finalize(array, _unregister, cuda, address).atexit = False
    return array


def _unregister(cuda: ctypes.CDLL, address: ctypes.c_void_p) -> None:
    # A worker may end after the GPU thread; when the process ends, all memory is freed at once.
    with contextlib.suppress(RuntimeError):
        on_gpu(lambda: cuda.cuMemHostUnregister(address))


@functools.cache
def _context() -> ctypes.c_void_p | None:
    """The primary context of the first GPU, which is the one that onnxruntime uses."""
    cuda, device, context = driver(), ctypes.c_int(), ctypes.c_void_p()
    if cuda is None or cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    return None if cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) else context

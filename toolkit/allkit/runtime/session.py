"""An exported file as a function from pixels to probabilities.

A file is refused unless its graph is the one that its contract describes. What the session
reports decides which device is in use; the list of available providers is only a hope.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from allkit.contract import (
    DISTANCE_NAME,
    HEATMAP_NAME,
    INPUT_NAME,
    METADATA_KEY,
    OUTPUT_NAME,
    Contract,
    check_file,
    contract_of,
)
from allkit.cpus import cores
from allkit.errors import AllkitError
from allkit.runtime.bound import BoundRunner, on_card, pinned
from allkit.runtime.providers import (
    CPU,
    NVIDIA,
    Request,
    gpu_attempt,
    lacking,
    provider_for,
    requests,
    wants_graphs,
    why_missing,
)

# What is not asked for, such as the heat map, is not computed.
NEEDED_ONLY = onnxruntime.RunOptions()
NEEDED_ONLY.only_execute_path_to_fetches = True

# The file itself is at fault, whatever the device.
_FILE_ERRORS = (ort.InvalidProtobuf, ort.InvalidGraph, ort.InvalidArgument, ort.NoSuchFile, ort.NotImplemented)
# A device can be at fault: onnxruntime raises plain RuntimeError and ValueError for some of these.
_DEVICE_ERRORS = (ort.EPFail, ort.Fail, ort.RuntimeException, RuntimeError, ValueError)


class Output(NamedTuple):
    """What the graph gives for n images: float32 (n, classes), float32 (n,) and, if asked for, float32 (n, h, w)."""

    probabilities: np.ndarray
    distance: np.ndarray
    heatmap: np.ndarray | None = None


class Model:
    """An exported model, ready to run.

    threads: how many compute a run on the CPU, None for all cores. shared: other threads have work meanwhile, so that
    these sleep while they wait. nhwc: the layout on CUDA, None for the one that suits the precision.

    path: the file. graphs: whether runs are recorded as CUDA graphs. contract: what it says of itself. notice: one
    line when `device="auto"` fell back to the CPU, else None. Raises AllkitError when the file is missing, damaged,
    has no contract or contradicts it, and when an explicitly named device is not what the session got.
    """

    def __init__(
        self,
        path: Path | str,
        device: str = "cpu",
        threads: int | None = None,
        shared: bool = False,
        nhwc: bool | None = None,
    ):
        self.path = Path(path)
        self._session, request, self.notice = _open(self.path, device.lower(), _options(threads, shared), nhwc)
        self.contract = _contract(self.path, self._session)
        self.graphs = self.provider in NVIDIA and wants_graphs(request)
        if self.provider in NVIDIA:
            self._run = BoundRunner(self._session, "cuda", self.graphs).run
        else:
            # Not every provider can be called by several threads at once, as DirectML cannot.
            turns = contextlib.nullcontext() if self.provider == CPU else threading.Lock()
            self._run = lambda names, batch: self._in_turn(turns, names, batch)

    @property
    def provider(self) -> str:
        """The execution provider that the session reports, such as CPUExecutionProvider."""
        return self._session.get_providers()[0]

    def _in_turn(self, turns: contextlib.AbstractContextManager, names: list[str], batch: np.ndarray) -> list:
        with turns:
            return self._session.run(names, {INPUT_NAME: batch}, NEEDED_ONLY)

    def buffer(self, count: int) -> np.ndarray:
        """Memory for a batch, uint8 (count, S, S, 3): the kind that is copied fastest to where the model runs."""
        size = self.contract.pixels.size_px
        return (pinned if self.provider in NVIDIA else np.empty)((count, size, size, 3), np.uint8)

    def run(self, batch: np.ndarray, heatmaps: bool = False) -> Output:
        """Pixels uint8 (n, S, S, 3), RGB, to probabilities and distances; all n in one go.

        heatmaps: whether to compute the maps too, for a model that has them. Raises AllkitError when the device
        fails, for want of memory for instance.
        """
        names = [OUTPUT_NAME, DISTANCE_NAME, HEATMAP_NAME] if heatmaps else [OUTPUT_NAME, DISTANCE_NAME]
        try:
            return Output(*self._run(names, batch))
        except (*_DEVICE_ERRORS, *_FILE_ERRORS) as error:
            raise AllkitError(
                f"{self.path.name} failed on a batch {batch.dtype} {batch.shape} on {self.provider}: {error}; "
                "try a smaller batch size, or the device cpu"
            ) from error


def _open(
    path: Path, device: str, options: onnxruntime.SessionOptions, nhwc: bool | None
) -> tuple[onnxruntime.InferenceSession, Request, str | None]:
    """A session, the request that it answers, and a notice where it is not what was hoped for."""
    wanted = provider_for(device)
    check_file(path)
    if wanted == CPU:
        return _cpu_session(path, options), [CPU], None
    missing = lacking(wanted)
    if not missing:
        detail = ""
        contract = _contract(path, _cpu_session(path, _unoptimised()))
        for request in requests(wanted, path, contract, nhwc):
            try:
                session = on_card(lambda request=request: _attempt(path, request, options))
            except (*_FILE_ERRORS, *_DEVICE_ERRORS) as error:
                # The CPU took the file, so the device is at fault.
                detail = " ".join(str(error).split())
                continue
            if session.get_providers()[0] == wanted:
                return session, request, None
        missing = why_missing(wanted, detail)
    cause, fix = missing
    if device != "auto":
        raise AllkitError(f"device {device} does not work here: {cause}; {fix}, or choose the device auto or cpu")
    return _cpu_session(path, options), [CPU], f"running on the CPU: {cause}"


def _attempt(path: Path, request: Request, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    with gpu_attempt():
        return _session(path, request, options)


def _cpu_session(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return _session(path, [CPU], options)
    except (*_FILE_ERRORS, *_DEVICE_ERRORS) as error:
        raise _not_loadable(path, error) from error


def _options(threads: int | None, shared: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what matters arrives as an exception
    # By itself onnxruntime starts a thread for every processor, whatever the quota of a container says.
    options.intra_op_num_threads = threads or cores()
    if shared:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _unoptimised() -> onnxruntime.SessionOptions:
    """For a session that is only asked what the file says of itself."""
    options = _options(1, shared=True)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _session(path: Path, request: Request, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    # Without this onnxruntime prints its own notice on stdout and goes on with another device.
    return onnxruntime.InferenceSession(path, options, providers=request, enable_fallback=0)


def _not_loadable(path: Path, error: Exception) -> AllkitError:
    return AllkitError(
        f"{path} cannot be loaded as an ONNX model (damaged, cut short, or another format): "
        f"{str(error).strip()}; copy or export it again"
    )


def _contract(path: Path, session: onnxruntime.InferenceSession) -> Contract:
    contract = contract_of(path, session.get_modelmeta().custom_metadata_map.get(METADATA_KEY))
    size, classes = contract.pixels.size_px, len(contract.classes)
    _check(path, "input", session.get_inputs(), INPUT_NAME, "tensor(uint8)", [size, size, 3])
    _check(path, "output", session.get_outputs(), OUTPUT_NAME, "tensor(float)", [classes])
    _check(path, "output", session.get_outputs(), DISTANCE_NAME, "tensor(float)", [])
    if contract.heatmap is not None:
        height, width = contract.heatmap["height"], contract.heatmap["width"]
        _check(path, "output", session.get_outputs(), HEATMAP_NAME, "tensor(float)", [height, width])
    return contract


def _check(path: Path, kind: str, nodes: Sequence, name: str, dtype: str, shape: Sequence[int]) -> None:
    found = [f"{node.name} {node.type} {node.shape}" for node in nodes]
    named = [node for node in nodes if node.name == name]
    # An input more would have to be fed; an output more does no harm.
    alone = kind == "output" or len(nodes) == 1
    fits = named and alone and named[0].type == dtype and list(named[0].shape[1:]) == list(shape)
    if not fits or isinstance(named[0].shape[0], int):
        raise AllkitError(
            f"{path} contradicts its contract: it has the {kind} {', '.join(found)}, the contract says "
            f"{name} {dtype} {['batch', *shape]}; export the model again"
        )

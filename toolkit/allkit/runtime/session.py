"""An exported file as a function from pixels to probabilities.

A file is refused unless its graph matches its contract and its outputs match its known answers (`known_answers`). The
device in use is the one the session reports; the list of available providers only says what onnxruntime was built with.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from allkit.errors import AllkitError
from allkit.model.contract import DISTANCE_NAME, HEATMAP_NAME, INPUT_NAME, OUTPUT_NAME, Contract
from allkit.model.file import ModelFile, read_model
from allkit.runtime import verdicts
from allkit.runtime.io_binding import BoundRunner, on_gpu, pinned
from allkit.runtime.kernels import Kernels, saturates, session_options
from allkit.runtime.known_answers import Differences, differences, draw
from allkit.runtime.providers import (
    CPU,
    NVIDIA,
    Obstacle,
    Request,
    clash,
    gpu_attempt,
    lacking,
    other_answers,
    provider_for,
    requests,
    wants_graphs,
    why_missing,
)

# Outputs that are not requested, such as the heat map, are not computed.
NEEDED_ONLY = onnxruntime.RunOptions()
NEEDED_ONLY.only_execute_path_to_fetches = True

# Faults of the file itself, whatever the device.
_FILE_ERRORS = (ort.InvalidProtobuf, ort.InvalidGraph, ort.InvalidArgument, ort.NoSuchFile, ort.NotImplemented)
# Faults of a device: onnxruntime raises plain RuntimeError and ValueError for some of these.
_DEVICE_ERRORS = (ort.EPFail, ort.Fail, ort.RuntimeException, RuntimeError, ValueError)

_NOTICES = {
    Kernels.FASTEST: None,
    Kernels.PRECISE: "the fastest int8 kernels saturate on this processor: running with exact ones, which take about "
    "2.5 times as long",
    Kernels.UNOPTIMISED: "optimised kernels give wrong answers here: running the model unoptimised in float, slowly",
}

Run = Callable[[list[str], np.ndarray], list[np.ndarray]]


class Output(NamedTuple):
    """The outputs for n images: float32 (n, classes), float32 (n,) and, if requested, float32 (n, h, w)."""

    probabilities: np.ndarray
    distance: np.ndarray
    heatmap: np.ndarray | None = None


class Model:
    """An exported model, ready to run.

    model: its file, or the result of `read_model`. threads: number that compute a run on the CPU, None for all cores.
    shared: other threads have work meanwhile, so waiting threads sleep. nhwc: the layout on CUDA, None for the one that
    suits the precision.

    path: the file. identity: a hash of its content. contract: what it says of itself. training_images: those of its
    split, None where it does not tell. kernels: those in use on the CPU. graphs: whether runs are recorded as CUDA
    graphs. notice: one line when `device="auto"` fell back to the CPU, when the fastest kernels cannot be used, or when
    two builds of onnxruntime are installed, else None. Raises AllkitError when the file is missing, damaged, has no
    contract or contradicts it, when an explicitly named device is not what the session got, and when no kernels give
    the known answers.
    """

    def __init__(
        self,
        model: Path | str | ModelFile,
        device: str = "cpu",
        threads: int | None = None,
        shared: bool = False,
        nhwc: bool | None = None,
    ):
        file = model if isinstance(model, ModelFile) else read_model(model)
        self.path, self.identity, self.contract = file.path, file.identity, file.contract
        self.training_images = file.training_images
        opened = _opened(file, device.lower(), _Threads(threads, shared), nhwc)
        self._session, self._run, self.kernels, self.graphs, notice = opened
        self.notice = "; ".join(filter(None, (clash(), notice))) or None

    @property
    def provider(self) -> str:
        """The execution provider that the session reports, such as CPUExecutionProvider."""
        return self._session.get_providers()[0]

    def buffer(self, count: int) -> np.ndarray:
        """Allocate a batch, uint8 (count, S, S, 3), in the memory that is copied fastest to where the model runs."""
        size = self.contract.pixels.size_px
        return (pinned if self.provider in NVIDIA else np.empty)((count, size, size, 3), np.uint8)

    def run(self, batch: np.ndarray, heatmaps: bool = False) -> Output:
        """Pixels uint8 (n, S, S, 3), RGB, to probabilities and distances, all n at once.

        heatmaps: also compute the maps, if the model has them. Raises AllkitError when the device fails, for example
        from lack of memory.
        """
        return _outputs(self._run, self.path, self.provider, batch, heatmaps)


def check_kernels(file: ModelFile, kernels: Kernels) -> Differences:
    """Compare a file on the CPU, with the given kernels, with its known answers."""
    return _differences(file, CPU, _runner(_cpu_session(file, _Threads(None, False), kernels), CPU, graphs=False))


def known_kernels(contract: Contract) -> list[Kernels]:
    """The kernels to try for a file on the CPU, fastest first."""
    order = list(Kernels)
    return order[1:] if contract.can_saturate and saturates() else order


class _Threads(NamedTuple):
    count: int | None
    shared: bool


class _Opened(NamedTuple):
    session: onnxruntime.InferenceSession
    run: Run
    kernels: Kernels
    graphs: bool
    notice: str | None


def _opened(file: ModelFile, device: str, threads: _Threads, nhwc: bool | None) -> _Opened:
    """The best session that gives the known answers, with a notice if it is not the requested one."""
    wanted = provider_for(device)
    if wanted == CPU:
        return _on_cpu(file, threads)
    opened = lacking(wanted) or _on_device(file, wanted, threads, nhwc)
    if isinstance(opened, _Opened):
        return opened
    cause, fix = opened
    if device != "auto":
        raise AllkitError(f"device {device} does not work here: {cause}; {fix}, or choose the device auto or cpu")
    opened = _on_cpu(file, threads)
    return opened._replace(notice="; ".join(filter(None, (f"running on the CPU: {cause}", opened.notice))))


def _on_cpu(file: ModelFile, threads: _Threads) -> _Opened:
    verdict = verdicts.recall(file, [CPU])
    remembered = [kernels for kernels in Kernels if kernels.value == verdict]
    found = {}
    for kernels in remembered or known_kernels(file.contract):
        session = _cpu_session(file, threads, kernels)
        run = _runner(session, CPU, graphs=False)
        if not remembered:
            found[kernels] = _differences(file, CPU, run)
            if not found[kernels].tolerable:
                continue
            verdicts.remember(file, [CPU], kernels.value)
        return _Opened(session, run, kernels, False, _NOTICES[kernels])
    told = "; ".join(f"{kernels.value} kernels: {difference}" for kernels, difference in found.items())
    raise AllkitError(
        f"{file.path} gives wrong answers on this machine with onnxruntime {onnxruntime.__version__} ({told}): "
        "install another version of onnxruntime, or run it on another machine"
    )


def _on_device(file: ModelFile, wanted: str, threads: _Threads, nhwc: bool | None) -> _Opened | Obstacle:
    """The same on a provider other than the CPU, or what prevents its use."""
    detail, found = "", None
    # Open the file on the CPU first, so that a later failure is the device's fault.
    _cpu_session(file, _Threads(1, True), Kernels.UNOPTIMISED)
    for request in requests(wanted, file.path, file.contract, nhwc):
        try:
            session = on_gpu(lambda request=request: _attempt(file, request, threads))
        except (*_FILE_ERRORS, *_DEVICE_ERRORS) as error:
            detail = " ".join(str(error).split())
            continue
        if session.get_providers()[0] != wanted:
            continue
        graphs = wanted in NVIDIA and wants_graphs(request)
        run = _runner(session, wanted, graphs)
        if not verdicts.recall(file, request):
            try:
                difference = _differences(file, wanted, run)
            except AllkitError as error:
                detail = str(error)
                continue
            if not difference.tolerable:
                found = difference
                continue
            verdicts.remember(file, request, wanted)
        return _Opened(session, run, Kernels.FASTEST, graphs, None)
    return other_answers(wanted, file.path, found) if found else why_missing(wanted, detail)


def _attempt(file: ModelFile, request: Request, threads: _Threads) -> onnxruntime.InferenceSession:
    with gpu_attempt():
        return _session(file, request, session_options(threads.count, shared=threads.shared))


def _cpu_session(file: ModelFile, threads: _Threads, kernels: Kernels) -> onnxruntime.InferenceSession:
    try:
        return _session(file, [CPU], session_options(threads.count, kernels, threads.shared))
    except (*_FILE_ERRORS, *_DEVICE_ERRORS) as error:
        raise AllkitError(
            f"{file.path} cannot be loaded as an ONNX model (damaged, or of another version): {str(error).strip()}; "
            "copy or export it again"
        ) from error


def _session(file: ModelFile, request: Request, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    # Otherwise onnxruntime prints a notice to stdout and continues with another device.
    session = onnxruntime.InferenceSession(file.data, options, providers=request, enable_fallback=0)
    _check_interface(file, session)
    return session


def _runner(session: onnxruntime.InferenceSession, provider: str, graphs: bool) -> Run:
    if provider in NVIDIA:
        return BoundRunner(session, "cuda", graphs).run
    # Not every provider can be called by several threads at once; DirectML cannot.
    turns = contextlib.nullcontext() if provider == CPU else threading.Lock()

    def run(names: list[str], batch: np.ndarray) -> list[np.ndarray]:
        with turns:
            return session.run(names, {INPUT_NAME: batch}, NEEDED_ONLY)

    return run


def _outputs(run: Run, path: Path, provider: str, batch: np.ndarray, heatmaps: bool) -> Output:
    names = [OUTPUT_NAME, DISTANCE_NAME, HEATMAP_NAME] if heatmaps else [OUTPUT_NAME, DISTANCE_NAME]
    try:
        output = Output(*run(names, batch))
    except (*_DEVICE_ERRORS, *_FILE_ERRORS) as error:
        raise AllkitError(
            f"{path.name} failed on a batch {batch.dtype} {batch.shape} on {provider}: {error}; "
            "try a smaller batch size, or the device cpu"
        ) from error
    if any(len(array) != len(batch) for array in output if array is not None):
        raise AllkitError(f"{path.name} does not give one result for each image: export the model again")
    return output


def _differences(file: ModelFile, provider: str, run: Run) -> Differences:
    answers = file.contract.known_answers
    images = draw(file.contract.pixels.size_px)
    return differences(
        answers,
        images,
        lambda batch: _outputs(run, file.path, provider, batch, answers["heatmap"] is not None),
        file.path,
    )


def _check_interface(file: ModelFile, session: onnxruntime.InferenceSession) -> None:
    """Raise AllkitError if inputs and outputs are not those described by the contract."""
    contract = file.contract
    size, classes = contract.pixels.size_px, len(contract.classes)
    _check(file.path, "input", session.get_inputs(), INPUT_NAME, "tensor(uint8)", [size, size, 3])
    _check(file.path, "output", session.get_outputs(), OUTPUT_NAME, "tensor(float)", [classes])
    _check(file.path, "output", session.get_outputs(), DISTANCE_NAME, "tensor(float)", [])
    if contract.heatmap is not None:
        height, width = contract.heatmap["height"], contract.heatmap["width"]
        _check(file.path, "output", session.get_outputs(), HEATMAP_NAME, "tensor(float)", [height, width])


def _check(path: Path, kind: str, nodes: Sequence, name: str, dtype: str, shape: Sequence[int]) -> None:
    found = [f"{node.name} {node.type} {node.shape}" for node in nodes]
    named = [node for node in nodes if node.name == name]
    # An extra input would have to be fed; an extra output does no harm.
    alone = kind == "output" or len(nodes) == 1
    fits = named and alone and named[0].type == dtype and list(named[0].shape[1:]) == list(shape)
    if not fits or isinstance(named[0].shape[0], int):
        raise AllkitError(
            f"{path} contradicts its contract: it has the {kind} {', '.join(found)}, the contract says "
            f"{name} {dtype} {['batch', *shape]}; export the model again"
        )

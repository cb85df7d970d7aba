"""Outputs and latencies of graphs in memory."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime

from allkit.model.contract import DISTANCE_NAME, INPUT_NAME, OUTPUT_NAME
from allkit.runtime.kernels import Kernels, exact_kernels, session_options
from allkit.runtime.session import NEEDED_ONLY

# At full width and 300 px the first activations of one image take 22 MiB each.
BATCH = 16

# A turn lasts at least this long. Runs that start in its first moments are not counted: threads of the previous session
# still spin, and the caches hold its weights.
_TURN_SECONDS, _SETTLING_SECONDS = 0.12, 0.03
_LEAST_TURNS, _SECONDS, _MOST_SECONDS = 6, 2.0, 60.0


def open_session(proto: onnx.ModelProto, kernels: Kernels | None = None) -> onnxruntime.InferenceSession:
    """A session on the CPU over all its cores, for a graph in memory; None: the fastest kernels that are exact here."""
    options = session_options(kernels=kernels or exact_kernels())
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def outputs(session: onnxruntime.InferenceSession, names: Sequence[str], pixels: np.ndarray) -> list[np.ndarray]:
    """The named outputs for uint8 images (n, S, S, 3), in batches."""
    batches = [session.run(list(names), {INPUT_NAME: batch}) for batch in in_batches(pixels)]
    return [np.concatenate(column) for column in zip(*batches, strict=True)]


def in_batches(pixels: np.ndarray) -> list[np.ndarray]:
    """Images cut into batches of nearly one size, at most BATCH."""
    return np.array_split(pixels, -(-len(pixels) // BATCH))


def latencies(
    runs: Mapping[str, Callable[[np.ndarray], object]], pixels: np.ndarray, seconds: float | None = None
) -> dict[str, np.ndarray]:
    """Milliseconds of each function for one image (batch 1), in turns, so that drift affects all of them alike.

    runs: functions of uint8 (1, S, S, 3). pixels: uint8 (n, S, S, 3); the image changes from run to run. seconds: the
    minimum duration of the whole measurement; by default some seconds per function.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    images = itertools.cycle(pixels[:, None])
    seconds = min(_SECONDS * len(runs), _MOST_SECONDS) if seconds is None else seconds
    start, turns = time.perf_counter(), 0
    while turns < _LEAST_TURNS or time.perf_counter() - start < seconds:
        for name, run in runs.items():
            turn = begin = time.perf_counter()
            counted = 0
            while not counted or begin - turn < _TURN_SECONDS:
                image = next(images)
                begin = time.perf_counter()
                run(image)
                if begin - turn > _SETTLING_SECONDS:
                    taken[name].append(1000 * (time.perf_counter() - begin))
                    counted += 1
        turns += 1
    return {name: np.array(times) for name, times in taken.items()}


def median_latencies(
    protos: Mapping[str, onnx.ModelProto], pixels: np.ndarray, kernels: Kernels | None = None
) -> dict[str, float]:
    """Median milliseconds of each graph for one image, by `latencies`; kernels as for `open_session`."""
    sessions = {name: open_session(proto, kernels) for name, proto in protos.items()}
    runs = {name: functools.partial(_run, session) for name, session in sessions.items()}
    return {name: float(np.median(times)) for name, times in latencies(runs, pixels).items()}


def _run(session: onnxruntime.InferenceSession, image: np.ndarray) -> None:
    # The outputs that classify requests; a heat map is computed only where it is requested.
    session.run([OUTPUT_NAME, DISTANCE_NAME], {INPUT_NAME: image}, NEEDED_ONLY)

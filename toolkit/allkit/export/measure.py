"""Graphs that are not files yet: what they give for images, and how long they take."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime

from allkit.contract import INPUT_NAME

# At full width and 300 px the first activations of one image take 22 MiB each.
BATCH = 16

# A turn lasts this long at least. What starts in its first moments is not counted: the threads of the session before
# still spin, and the caches are full of its weights.
_TURN_SECONDS, _SETTLING_SECONDS = 0.12, 0.03
_LEAST_TURNS, _SECONDS, _MOST_SECONDS = 6, 2.0, 60.0


def open_session(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session on the CPU over all its cores, for a graph in memory."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def outputs(session: onnxruntime.InferenceSession, names: Sequence[str], pixels: np.ndarray) -> list[np.ndarray]:
    """The named outputs for uint8 images (n, S, S, 3), in batches."""
    batches = [session.run(list(names), {INPUT_NAME: batch}) for batch in in_batches(pixels)]
    return [np.concatenate(column) for column in zip(*batches, strict=True)]


def in_batches(pixels: np.ndarray) -> list[np.ndarray]:
    """Images cut into batches of nearly one size, at most BATCH."""
    return np.array_split(pixels, -(-len(pixels) // BATCH))


def latencies(sessions: Mapping[str, onnxruntime.InferenceSession], pixels: np.ndarray) -> dict[str, float]:
    """Median milliseconds of each session for one image (batch 1), turn by turn so that drift meets them all alike.

    pixels: uint8 (n, S, S, 3); the image changes from run to run.
    """
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    images = itertools.cycle(pixels[:, None])
    start, turns = time.perf_counter(), 0
    while turns < _LEAST_TURNS or time.perf_counter() - start < min(_SECONDS * len(sessions), _MOST_SECONDS):
        for name, session in sessions.items():
            turn = begin = time.perf_counter()
            counted = 0
            while not counted or begin - turn < _TURN_SECONDS:
                image = next(images)
                begin = time.perf_counter()
                session.run(None, {INPUT_NAME: image})
                if begin - turn > _SETTLING_SECONDS:
                    taken[name].append(time.perf_counter() - begin)
                    counted += 1
        turns += 1
    return {name: 1000 * float(np.median(times)) for name, times in taken.items()}

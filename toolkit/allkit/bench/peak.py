"""What the processor could do: the largest matrix product that onnxruntime gets out of it, in float32 and in int8."""

from __future__ import annotations

import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

_SIDE, _ROUNDS = 1024, 10


def peak_gops() -> dict[str, float]:
    """Giga-operations a second by precision, a multiply-accumulate being two; the best of the rounds."""
    sessions = {"fp32": _session("MatMul", TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT)}
    sessions["int8"] = _session("MatMulInteger", TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32)
    rng = np.random.default_rng(0)
    feeds = {"fp32": rng.random((_SIDE, _SIDE), np.float32), "int8": rng.integers(0, 128, (_SIDE, _SIDE), np.uint8)}
    best = dict.fromkeys(sessions, np.inf)
    for _ in range(_ROUNDS):
        for name, session in sessions.items():
            begin = time.perf_counter()
            session.run(None, {"a": feeds[name]})
            best[name] = min(best[name], time.perf_counter() - begin)
    return {name: 2 * _SIDE**3 / seconds / 1e9 for name, seconds in best.items()}


def _session(operator: str, a: int, b: int, c: int) -> onnxruntime.InferenceSession:
    rng = np.random.default_rng(1)
    constant = onnx.numpy_helper.from_array(
        rng.integers(-64, 64, (_SIDE, _SIDE)).astype(helper.tensor_dtype_to_np_dtype(b)), "b"
    )
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", a, [_SIDE, _SIDE])],
        [helper.make_tensor_value_info("c", c, [_SIDE, _SIDE])],
        [constant],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

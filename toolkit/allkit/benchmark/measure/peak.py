"""Peak performance of the processor: the fastest matrix product of onnxruntime, in float32 and in int8."""

from __future__ import annotations

import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from allkit.runtime.kernels import exact_kernels, session_options

# Which size is fastest depends on the caches.
_SIDES = (256, 512, 1024)
_REPEATS = 10


class Peak:
    """Square matrix products on all cores.

    gops: the best rate so far by precision, in giga-operations per second; a multiply-accumulate counts as two.
    """

    def __init__(self):
        self.gops = {"fp32": 0.0, "int8": 0.0}
        rng = np.random.default_rng(0)
        self._products = []
        for side in _SIDES:
            session = _session("MatMul", side, TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT)
            self._products.append(("fp32", side, session, rng.random((side, side), np.float32)))
            session = _session("MatMulInteger", side, TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32)
            self._products.append(("int8", side, session, rng.integers(0, 128, (side, side), np.uint8)))

    def measure(self) -> None:
        """Repeat each product a few times. On a shared machine, only the best moment shows the peak."""
        for precision, side, session, values in self._products:
            # In sequence, so that from the second time on the operands are in the caches.
            for _ in range(_REPEATS):
                begin = time.perf_counter()
                session.run(None, {"a": values})
                reached = 2 * side**3 / (time.perf_counter() - begin) / 1e9
                self.gops[precision] = max(self.gops[precision], reached)


def _session(operator: str, side: int, a: int, b: int, c: int) -> onnxruntime.InferenceSession:
    rng = np.random.default_rng(1)
    constant = onnx.numpy_helper.from_array(
        rng.integers(-64, 64, (side, side)).astype(helper.tensor_dtype_to_np_dtype(b)), "b"
    )
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", a, [side, side])],
        [helper.make_tensor_value_info("c", c, [side, side])],
        [constant],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    options = session_options(kernels=exact_kernels())
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

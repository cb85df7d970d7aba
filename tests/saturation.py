"""Makes `saturation.onnx`, the probe of `allkit.runtime.kernels`: python tests/saturation.py FILE"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DEPTH, FILTERS = 64, 16


def probe() -> onnx.ModelProto:
    """Products of `rows` (1, 64) and of `image` (1, 64, 1, 1), uint8, with weights of 127.

    With operands of 255 each sum is 64 * 255 * 127; the convolution scales it to 255.
    """
    constants = {
        "weights": np.full((DEPTH, FILTERS), 127, np.int8),
        "filters": np.full((FILTERS, DEPTH, 1, 1), 127, np.int8),
        "one": np.float32(1),
        "scale": np.float32(DEPTH * 127),
        "zero_uint8": np.uint8(0),
        "zero_int8": np.int8(0),
    }
    conv = ["image", "one", "zero_uint8", "filters", "one", "zero_int8", "scale", "zero_uint8"]
    graph = helper.make_graph(
        [
            helper.make_node("MatMulInteger", ["rows", "weights"], ["product"]),
            helper.make_node("QLinearConv", conv, ["convolved"]),
        ],
        "saturation",
        [
            helper.make_tensor_value_info("rows", TensorProto.UINT8, [1, DEPTH]),
            helper.make_tensor_value_info("image", TensorProto.UINT8, [1, DEPTH, 1, 1]),
        ],
        [
            helper.make_tensor_value_info("product", TensorProto.INT32, [1, FILTERS]),
            helper.make_tensor_value_info("convolved", TensorProto.UINT8, [1, FILTERS, 1, 1]),
        ],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="allkit")


if __name__ == "__main__":
    onnx.save(probe(), sys.argv[1])

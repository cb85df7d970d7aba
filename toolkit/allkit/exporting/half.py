"""float16 for GPUs: the network in half precision, everything after the logits in float32.

The converters of libraries insert casts around each node that stays in float32; here a tensor is cast once, where it
leaves the network.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from allkit.exporting.tidy import LOGITS, needed_for


def halved(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a tidy float graph whose logits, and all that they depend on, are float16.

    The input stays uint8 and the outputs float32: softmax, distance and heat map are computed in float32, because a
    squared distance can exceed the largest float16 (65,504).
    """
    half = onnx.ModelProto.FromString(proto.SerializeToString())
    graph = half.graph
    network = needed_for(graph, LOGITS)
    halves = {output for node in graph.node if node.name in network for output in node.output}
    read = {name for node in graph.node if node.name in network for name in node.input}
    for initializer in graph.initializer:
        if initializer.name in read and initializer.data_type == TensorProto.FLOAT:
            halves.add(initializer.name)
            values = numpy_helper.to_array(initializer).astype(np.float16)
            initializer.CopyFrom(numpy_helper.from_array(values, initializer.name))
    nodes, singles = [], set()
    for node in graph.node:
        if node.name not in network:
            for i, name in enumerate(node.input):
                if name in halves:
                    node.input[i] = single = f"{name}_single"
                    if single not in singles:
                        nodes.append(helper.make_node("Cast", [name], [single], single, to=TensorProto.FLOAT))
                        singles.add(single)
        elif node.op_type == "Cast":
            node.attribute[0].i = TensorProto.FLOAT16
        nodes.append(node)
    graph.ClearField("node")
    graph.node.extend(nodes)
    onnx.checker.check_model(half, full_check=True)
    return half

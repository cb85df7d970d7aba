"""The converted graph simplified: Dense layers as Gemm, and every node and tensor named after its layer.

Later steps rely on the names: which layers stay in float, where the heat map takes its tensors from, what
`allkit inspect` shows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import onnx

from allkit.model.contract import DISTANCE_NAME, OUTPUT_NAME

HIDDEN, LOGITS = "fc", "logits"
# What the head makes of the last feature map, by the operator that ends it: its means are those of each channel.
FLATTEN, STATISTICS, AVERAGE = "flatten", "statistics", "average"
_HEADS = {"Reshape": FLATTEN, "Concat": STATISTICS}

# What moves values, or makes them another type, stands for no layer; nor do the outputs, whose names are theirs.
_MOVES = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Cast"}
_OUTPUTS = {OUTPUT_NAME, DISTANCE_NAME}


def tidy(proto: onnx.ModelProto, layers: Collection[str]) -> None:
    """Join the MatMul of a Dense layer and the Add of its bias into a Gemm, and name nodes and tensors. In place.

    layers: names of the layers of the Keras network. A node takes the name of its layer, further ones of the same layer
    with their operator. Tensors take the name of the node that makes them, constants that of the node that reads them:
    `block1_conv1`, `block1_conv1_relu`, `block1_conv1.weight`. Inputs and outputs keep theirs.
    """
    _join_dense(proto.graph)
    _name(proto.graph, layers)
    onnx.checker.check_model(proto, full_check=True)


def needed_for(graph: onnx.GraphProto, last: str) -> set[str]:
    """The names of a node and of all nodes that it depends on."""
    tensors, names = set(), set()
    for node in reversed(graph.node):
        if node.name == last or tensors.intersection(node.output):
            tensors.update(node.input)
            names.add(node.name)
    return names


def _join_dense(graph: onnx.GraphProto) -> None:
    constants = {initializer.name: initializer for initializer in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    # The distance is a product too, but no layer.
    dense = [node for node in graph.node if node.op_type == "MatMul" and f"/{DISTANCE_NAME}" not in node.name]
    for node in dense:
        node.op_type = "Gemm"
        after = readers[node.output[0]]
        if len(after) == 1 and after[0].op_type == "Add":
            # tf2onnx leaves out the Add of a bias that is zero.
            node.input.extend(name for name in after[0].input if name in constants)
            node.output[0] = after[0].output[0]
            graph.node.remove(after[0])


def _name(graph: onnx.GraphProto, layers: Collection[str]) -> None:
    fixed = {value.name for value in (*graph.input, *graph.output)}
    constants = {initializer.name: initializer for initializer in graph.initializer}
    # Not any Reshape: the transposition of a map of one position may have been made one too.
    flat = next((node.input[0] for node in graph.node if node.op_type == "Gemm"), None)
    renamed: dict[str, str] = {}
    taken: set[str] = set()
    for node in graph.node:
        kind = node.op_type.lower()
        layer = _layer(node, constants.keys() & set(node.input), layers)
        if node.output[0] == flat:
            own = _HEADS.get(node.op_type, AVERAGE)
        elif node.op_type == "Gemm" and layer == OUTPUT_NAME:
            own = LOGITS
        elif layer is None or layer in _OUTPUTS or node.op_type in _MOVES:
            own = kind
        else:
            own = f"{layer}_{kind}" if layer in taken else layer
        node.name = _unique(own, taken)
        renamed.update((name, node.name) for name in node.output if name not in fixed)
        read = [name for name in node.input if name in constants and name not in renamed]
        renamed.update((name, f"{node.name}.{part}") for name, part in zip(read, ("weight", "bias"), strict=False))
    for node in graph.node:
        _replace(node.input, renamed)
        _replace(node.output, renamed)
    for old, initializer in constants.items():
        initializer.name = renamed[old]
    del graph.value_info[:]


def _layer(node: onnx.NodeProto, weights: Iterable[str], layers: Collection[str]) -> str | None:
    """The layer that a node comes from: tf2onnx names it, or its weights, NETWORK/LAYER/..., with a number at the end.

    A node that tf2onnx has made of two has no name but a number, its weights still have theirs.
    """
    parts = (part for name in (node.name, *weights) for part in name.split("/")[1:-1])
    return next((layer for part in parts if (layer := re.sub(r"_\d+$", "", part)) in layers), None)


def _unique(name: str, taken: set[str]) -> str:
    number, tried = 2, name
    while tried in taken:
        tried, number = f"{name}{number}", number + 1
    taken.add(tried)
    return tried


def _replace(names: Iterable[str], renamed: dict[str, str]) -> None:
    for i, name in enumerate(names):
        names[i] = renamed.get(name, name)

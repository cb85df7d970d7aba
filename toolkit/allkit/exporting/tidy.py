"""The converted graph simplified: Dense layers as Gemm, and every node and tensor named after its layer.

Later steps rely on the names: which layers stay in float, where the heat map takes its tensors from, what
`allkit inspect` shows.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from allkit.errors import AllkitError
from allkit.model.contract import DISTANCE_NAME
from allkit.runs.architecture import Architecture

HIDDEN, LOGITS = "fc", "logits"
# What the head makes of the last feature map.
FLATTEN, STATISTICS = "flatten", "statistics"


def tidy(proto: onnx.ModelProto, architecture: Architecture) -> None:
    """Join the MatMul of a Dense layer and the Add of its bias into a Gemm, and name nodes and tensors. In place.

    Tensors take the name of the node that makes them, constants that of the node that reads them: `block1_conv1`,
    `block1_conv1_relu`, `block1_conv1.weight`. Inputs and outputs keep theirs.
    """
    _join_dense(proto.graph)
    _name(proto.graph, _layers(architecture), FLATTEN if architecture.head == "dense" else STATISTICS)
    onnx.checker.check_model(proto, full_check=True)


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


def _layers(architecture: Architecture) -> dict[str, list[str]]:
    """The layers of each operator, input first."""
    return {
        "Conv": architecture.conv_names,
        "MaxPool": [f"block{block}_pool" for block in architecture.pools],
        "Gemm": [HIDDEN, LOGITS] if architecture.head == "dense" else [LOGITS],
    }


def _name(graph: onnx.GraphProto, names: dict[str, list[str]], head: str) -> None:
    fixed = {value.name for value in (*graph.input, *graph.output)}
    constants = {initializer.name: initializer for initializer in graph.initializer}
    layers = {kind: iter(of_kind) for kind, of_kind in names.items()}
    # Not any Reshape: the transposition of a map of one position may have been made one too.
    flat = next((node.input[0] for node in graph.node if node.op_type == "Gemm"), None)
    renamed: dict[str, str] = {}
    taken: set[str] = set()
    for node in graph.node:
        kind = node.op_type.lower()
        if node.output[0] == flat:
            own = head
        elif node.op_type in layers:
            own = next(layers[node.op_type], None)
            if own is None:
                raise AllkitError(
                    f"the graph has more {node.op_type} than its architecture: it is not a network of allkit"
                )
        else:
            own = f"{renamed[node.input[0]]}_{kind}" if node.op_type == "Relu" else kind
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


def _unique(name: str, taken: set[str]) -> str:
    number, tried = 2, name
    while tried in taken:
        tried, number = f"{name}{number}", number + 1
    taken.add(tried)
    return tried


def _replace(names: Iterable[str], renamed: dict[str, str]) -> None:
    for i, name in enumerate(names):
        names[i] = renamed.get(name, name)

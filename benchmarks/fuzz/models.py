"""Mutated exported models through everything that opens one.

    python benchmarks/fuzz/models.py --count 2000 --seed 0

Changes the smallest model of `exported/`: bits, runs of bytes, truncation, fields of the graph (operators, attributes,
types, shapes, constants, an endless Loop), fields of the contract (missing, of another type, huge, negative, markup);
half of the changed graphs get a matching digest, as a hostile file would have. Each is opened by `inspect`, `inspect
--check` and a `Classifier` that classifies one drawn image, in a process that handles many in turn. Prints one JSON
record and exits with 1 if anything raised an exception other than AllkitError, crashed, gave a label with a confidence
outside [0, 1], took more than 10 s, or more than 1 GiB. The n-th model depends only on the seed and n.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from allkit import AllkitError, Classifier
from allkit.model.contract import METADATA_KEY
from allkit.model.file import graph_digest, read_model
from allkit.model.graph import read_graph, summarise
from allkit.runtime.kernels import Kernels
from allkit.runtime.session import check_kernels

MODEL = min((Path(__file__).parents[2] / "exported").glob("*.onnx"), key=lambda path: path.stat().st_size)
MOST_SECONDS, MOST_MIB = 10.0, 1024
CHUNK = 100
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
TEXTS = ("", "[/bold]", "\x1b[2J", "<script>", "../../x", "x" * 10_000, "\ud800", "path")
VALUES = (None, True, 0, -1, 1e308, 10**30, 10**400, [], {}, "1", float("nan"), float("inf"), [[]], 0.5)
OPERATORS = ("Loop", "If", "Scan", "ConstantOfShape", "Expand", "Tile", "Resize", "Abs", "Relu", "Softmax", "MaxPool")


def mutated(seed: int, number: int) -> bytes:
    """The n-th damaged file."""
    rng = random.Random(f"{seed} {number}")
    data = MODEL.read_bytes()
    kind = rng.randrange(4)
    if kind == 0:
        return damaged_bytes(bytearray(data), rng)
    proto = onnx.load_model_from_string(data)
    record = json.loads(entry(proto).value)
    if kind in (1, 3):
        for _ in range(rng.randint(1, 3)):
            changed_graph(proto.graph, rng)
    if kind in (2, 3):
        changed_contract(record, rng)
    if rng.random() < 0.5:
        record["graph_digest"] = graph_digest(proto.SerializeToString())
    entry(proto).value = json.dumps(record).encode("utf-8", "replace").decode()
    return proto.SerializeToString()


def entry(proto: onnx.ModelProto) -> onnx.StringStringEntryProto:
    return next(one for one in proto.metadata_props if one.key == METADATA_KEY)


def damaged_bytes(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data)) if rng.random() < 0.5 else len(data) - 1 - rng.randrange(min(8000, len(data)))
        match rng.randrange(4):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + rng.randint(1, 60)] = rng.randbytes(rng.randint(1, 60))
            case 2:
                data[at:at] = data[at : at + 40] * rng.randint(1, 40)
            case 3 if at > 8:
                del data[at:]
    return bytes(data)


def changed_graph(graph: onnx.GraphProto, rng: random.Random) -> None:
    node = rng.choice(graph.node)
    tensor = rng.choice(graph.initializer)
    match rng.randrange(9):
        case 0:
            node.op_type = rng.choice(OPERATORS)
        case 1 if node.attribute:
            attribute = rng.choice(node.attribute)
            attribute.i = rng.choice((-1, 0, 2**40, 2**62))
            attribute.ints.extend([rng.choice((-1, 0, 2**40))] * rng.randint(0, 3))
        case 2:
            tensor.data_type = rng.randrange(30)
        case 3 if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice((-1, 0, 1, 2**31, 2**62))
        case 4:
            tensor.raw_data = rng.randbytes(len(tensor.raw_data))
        case 5:
            graph.node.remove(node)
        case 6 if node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(rng.choice(graph.node).output)
        case 7:
            value = rng.choice([*graph.input, *graph.output]).type.tensor_type
            value.elem_type = rng.randrange(25)
            if value.shape.dim:
                value.shape.dim[rng.randrange(len(value.shape.dim))].dim_value = rng.choice((0, 1, -1, 2**40))
        case 8:
            endless_loop(graph)


def endless_loop(graph: onnx.GraphProto) -> None:
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [scalar("i", TensorProto.INT64, []), scalar("go", TensorProto.BOOL, [])],
        [scalar("on", TensorProto.BOOL, [])],
    )
    graph.initializer.append(helper.make_tensor("forever", TensorProto.BOOL, [], [True]))
    graph.node.insert(0, helper.make_node("Loop", ["", "forever"], [], body=body))


def changed_contract(record: dict, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 3)):
        parent = record
        key = rng.choice(sorted(parent))
        while isinstance(parent[key], dict) and parent[key] and rng.random() < 0.8:
            parent = parent[key]
            key = rng.choice(sorted(parent))
        if rng.random() < 0.2:
            del parent[key]
        elif isinstance(parent[key], str) and rng.random() < 0.6:
            parent[key] = rng.choice(TEXTS)
        else:
            parent[key] = rng.choice(VALUES)


def outcome(path: Path) -> str:
    """The outcome of opening and running a file; raises everything but AllkitError."""
    for use in (_inspect, _check, _classify):
        try:
            use(path)
        except AllkitError:
            return f"refused by {use.__name__.strip('_')}"
    return "whole"


def _inspect(path: Path) -> None:
    summarise(read_graph(path)[0])


def _check(path: Path) -> None:
    check_kernels(read_model(path), Kernels.FASTEST)


def _classify(path: Path) -> None:
    (prediction,) = Classifier(path, device="cpu")([IMAGE])
    if prediction.error is None and not 0 <= prediction.confidence <= 1:
        raise RuntimeError(f"confidence {prediction.confidence}")


def work(seed: int, first: int, count: int, results: multiprocessing.Queue) -> None:
    """Report each model before and after it is opened, so that a crash can be attributed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mutated.onnx")
        for number in range(first, first + count):
            path.write_bytes(mutated(seed, number))
            results.put(("begin", number, ""))
            try:
                results.put(("end", number, outcome(path)))
            except Exception:
                # Any other exception is what this script looks for.
                results.put(("end", number, traceback.format_exc()))
    results.put(("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    counts, faults, slowest, peak = Counter(), {}, 0.0, 0.0
    number, last = given.first, given.first + given.count
    while number < last:
        results = multiprocessing.Queue()
        worker = multiprocessing.Process(target=work, args=(given.seed, number, min(CHUNK, last - number), results))
        worker.start()
        current, since = None, time.monotonic()
        while True:
            try:
                kind, value, text = results.get(timeout=1)
            except Exception:
                if worker.is_alive() and time.monotonic() - since < 6 * MOST_SECONDS:
                    continue
                faults[str(current)] = f"exit status {worker.exitcode}" if not worker.is_alive() else "hangs"
                number = (number if current is None else current) + 1
                worker.kill()
                break
            if kind == "begin":
                current, since = value, time.monotonic()
            elif kind == "end":
                slowest = max(slowest, time.monotonic() - since)
                known = text if "\n" not in text else "traceback"
                counts[known] += 1
                if known == "traceback":
                    faults[str(value)] = text.strip().splitlines()[-1][:300]
                number = value + 1
            else:
                peak = max(peak, value)
                break
        worker.join()
    record = {
        "model": MODEL.name,
        "seed": given.seed,
        "count": given.count,
        **dict(counts.most_common()),
        "slowest_seconds": round(slowest, 2),
        "peak_mib": round(peak),
        "faults": faults,
    }
    print(json.dumps(record, indent=1))
    sys.exit(bool(faults) or slowest > MOST_SECONDS or peak > MOST_MIB)


if __name__ == "__main__":
    main()

"""allkit compared with other tools, on the same files with the same weights, round by round in one run.

    pip install ".[bench,train,peers]"
    python benchmarks/peers/run.py DATA RUN FP32 INT8 [RUN FP32 INT8 ...] > benchmarks/results/peers.json

RUN is a finished run folder, FP32 and INT8 its exported files. Every contender is a process that sleeps while others
work; its answers are first compared with allkit's float32 ones. The record has the paired ratios of allkit's int8 to
each contender, with their 95 % intervals.

    python benchmarks/peers/run.py --again benchmarks/results/peers.json

recomputes the ratios of a record from its rounds, in place.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from contenders import CONTENDERS

from allkit.benchmark.measure.machine import facts, libraries
from allkit.data.split import Split
from allkit.metrics import paired_ratio
from allkit.model.graph import read_graph
from allkit.runs.run import Run
from allkit.runtime.inputs import expand
from allkit.support.cpus import cores

ROUNDS, CALIBRATION = 7, 300
# Images per round: about a second each.
SLICE, SLICE_OF_WIDE = 1024, 16
LEAST_AGREEMENT = 0.8
# Some go by several names.
LIBRARIES = ("allkit", "onnxruntime", "onnxruntime-gpu", "tensorflow", "tensorflow-cpu", "keras")
PEERS = ("openvino", "nncf", "torch", "ai-edge-litert")
REFERENCE, SUBJECT = "allkit fp32", "allkit int8"


class Worker:
    """A contender's process; `error` is set if it cannot do the job."""

    def __init__(self, name: str, job: dict):
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("worker.py"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        first = self._ask(job)
        self.error: str | None = first.get("error")
        self.probabilities = np.array(first.get("probabilities", []))
        self.rates: list[float] = []

    def compare(self, reference: Worker) -> None:
        """Exclude it if it disagrees with the reference on more images than quantisation explains."""
        same = (self.probabilities.argmax(1) == reference.probabilities.argmax(1)).mean()
        if same < LEAST_AGREEMENT:
            self.error = f"wrong answers: the same class on {same:.0%} of {len(self.probabilities)} images"

    def turn(self, begin: int, end: int) -> None:
        """Run one round: images per second over a slice of the files."""
        taken = self._ask([begin, end])
        if "error" in taken:
            self.error = taken["error"]
        else:
            self.rates.append(taken["n"] / taken["seconds"])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, question: object) -> dict:
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": f"ended with status {self._process.wait()}"}


def match(paths: list[Path], run: str, fp32: str, int8: str) -> dict:
    """The record of one model."""
    contract = read_graph(fp32)[1]
    job = {"fp32": fp32, "int8": int8, "run": run, "size_px": contract.pixels.size_px, "cores": cores()}
    root = Run.open(Path(run)).settings.data
    train = Split.load(Path(run) / "split.json").parts["train"]
    job["calibration"] = [str(Path(root, path)) for path in train[:: max(1, len(train) // CALIBRATION)]]
    job["jpeg_scale"] = contract.pixels.jpeg_scale
    job |= {"paths": [str(path) for path in paths]}
    size = SLICE if contract.width < 0.5 else SLICE_OF_WIDE
    workers = {}
    for name in CONTENDERS:
        workers[name] = Worker(name, job)
        print(f"{Path(fp32).stem}: {name}: {workers[name].error or 'ready'}", file=sys.stderr)
    reference = workers[REFERENCE]
    for worker in workers.values():
        if worker.error is None and reference.error is None:
            worker.compare(reference)
    able = {name: worker for name, worker in workers.items() if worker.error is None}
    for round_ in range(ROUNDS + 1):
        begin = round_ * size % max(1, len(paths) - size)
        for worker in able.values():
            if worker.error is None:
                worker.turn(begin, begin + size)
    rows = {}
    for name, worker in workers.items():
        worker.close()
        if worker.error:
            rows[name] = {"error": worker.error}
            continue
        # The first round warms caches and compiles.
        del worker.rates[0]
        difference = float(np.abs(worker.probabilities - workers[REFERENCE].probabilities).max())
        rows[name] = {
            "images_per_s": round(statistics.median(worker.rates), 1),
            "rounds": [round(rate, 1) for rate in worker.rates],
            "allkit_int8_over_it": asdict(paired_ratio(workers[SUBJECT].rates, worker.rates)),
            "largest_difference_from_allkit_fp32": round(difference, 5),
        }
    return {"fp32": Path(fp32).name, "int8": Path(int8).name, "images_a_round": size, "contenders": rows}


def again(path: Path) -> None:
    """Recompute the ratios of a record from its rounds."""
    record = json.loads(path.read_text())
    for match_ in record["matches"]:
        able = {name: row for name, row in match_["contenders"].items() if "error" not in row}
        for row in able.values():
            row["allkit_int8_over_it"] = asdict(paired_ratio(able[SUBJECT]["rounds"], row["rounds"]))
    path.write_text(json.dumps(record, indent=1) + "\n")


def main(data: str, *models: str) -> None:
    if data == "--again":
        return again(Path(models[0]))
    paths = expand([Path(data)])
    # Mix the classes in every slice.
    paths = [paths[i * 997 % len(paths)] for i in range(len(paths))]
    groups = [models[i : i + 3] for i in range(0, len(models), 3)]
    record = {
        "machine": facts(),
        "versions": libraries((*LIBRARIES, *PEERS)),
        "matches": [match(paths, *group) for group in groups],
    }
    json.dump(record, sys.stdout, indent=1)
    print()
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])

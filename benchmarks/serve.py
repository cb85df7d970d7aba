"""Images per second and latency of `allkit serve` beside `allkit classify` on the same files, and the server's memory.

    python benchmarks/serve.py DATA MODEL --requests 100000 > benchmarks/results/serve.json

In every round, `allkit classify` writes a row for each file and tells its rate, without its start-up; then each load
sends every file once to a server that is up throughout: single images to /classify by one connection and by several,
and infer requests of 1, 8 and 64 images with the binary tensor extension. The first round fills the page cache and is
left out. Latencies are those of all requests of the other rounds, at that load. The callers run on the cores of the
server, in a process of their own, `serve_client.py`, which is as cheap as Python allows; the record has its share of a
core.

With --requests so many more follow, mixed of these kinds at random, while the resident memory of the server is sampled.
The record has the samples, the medians of the quarters of that time, and how many requests were not answered with 200.
A table goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import psutil

from allkit.benchmark.measure.machine import busy
from allkit.metrics import paired_ratio
from allkit.runtime.inputs import expand
from allkit.runtime.machine import processor
from allkit.support.cpus import cores
from allkit.support.files import as_json

ALLKIT = [sys.executable, "-m", "allkit"]
# 64 images by four connections fill the queue of the server, which holds 256.
MIXTURE = [*30 * [("classify", 1)], *8 * [("infer", 1)], ("infer", 8), ("infer", 64)]
MIXED_CONNECTIONS, SAMPLE_S, MOST_SAMPLES = 4, 0.5, 200


@dataclass
class Load:
    """A way to send all files, and its results by round."""

    route: str
    images: int
    connections: int
    rates: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    failures: int = 0

    def round(self, client: Client, files: int) -> None:
        told = client.ask(route=self.route, images=self.images, connections=self.connections)
        self.rates.append(files / told["seconds"])
        self.client.append(told["cpu_s"] / told["seconds"])
        self.latencies_ms += told["latencies_ms"]
        self.failures += told["failures"]

    def record(self, classify: list[float]) -> dict[str, Any]:
        p50, p99 = np.percentile(self.latencies_ms, (50, 99))
        return {
            "route": self.route,
            "images": self.images,
            "connections": self.connections,
            "images_per_s": round(statistics.median(self.rates), 1),
            "over_classify": asdict(paired_ratio(self.rates, classify)),
            "p50_ms": round(p50, 3),
            "p99_ms": round(p99, 3),
            "requests": len(self.latencies_ms),
            "failures": self.failures,
            "client_share_of_a_core": round(statistics.median(self.client), 3),
            "rounds": [round(rate, 1) for rate in self.rates],
        }


class Client:
    """The process of the callers."""

    def __init__(self, process: subprocess.Popen):
        self._process = process

    def tell(self, **line: Any) -> None:
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def ask(self, **job: Any) -> dict[str, Any]:
        self.tell(**job)
        return json.loads(self._process.stdout.readline())


@contextmanager
def server(model: str) -> Iterator[tuple[psutil.Process, int]]:
    """The process of a server, and its port. Its log goes to a file, as it may in use."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [*ALLKIT, "serve", "--model", model, "--device", "cpu", "--port", "0"]
        with log.open("w") as stream, subprocess.Popen(command, stderr=stream) as process:
            try:
                while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text())):
                    assert process.poll() is None, log.read_text()
                    time.sleep(0.1)
                yield psutil.Process(process.pid), int(found[1])
            finally:
                process.terminate()


@contextmanager
def callers(port: int, model: str, paths: list[Path]) -> Iterator[Client]:
    command = [sys.executable, Path(__file__).with_name("serve_client.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        client = Client(process)
        client.tell(port=port, model=Path(model).stem, paths=list(map(str, paths)))
        yield client
        process.stdin.close()


def by_classify(data: str, model: str) -> float:
    """Images per second, as `allkit classify` tells them."""
    command = [*ALLKIT, "classify", data, "--model", model, "--device", "cpu", "--format", "csv"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(re.search(r"image\(s\), ([\d.]+) images/s", done.stderr)[1])


def memory(process: psutil.Process, client: Client, requests: int) -> dict[str, Any]:
    """Resident memory of the server in MiB while it answers so many requests."""
    resident = []
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(client.ask, kinds=MIXTURE, count=requests, connections=MIXED_CONNECTIONS)
        while not told.done():
            resident.append(process.memory_info().rss / 2**20)
            time.sleep(SAMPLE_S)
    quarters = [round(float(np.median(part)), 1) for part in np.array_split(resident, 4)]
    return {
        "requests": len(told.result()["latencies_ms"]),
        "failures": told.result()["failures"],
        "seconds": round(told.result()["seconds"], 1),
        "quarters_mib": quarters,
        "last_over_first": round(quarters[-1] / quarters[0], 4),
        "samples_mib": [round(value, 1) for value in resident[:: -(-len(resident) // MOST_SAMPLES)]],
    }


def table(record: dict[str, Any]) -> Iterator[str]:
    """The record, to be read."""
    yield f"{'load':40}{'images/s':>10}{'of classify':>13}{'p50 ms':>9}{'p99 ms':>9}{'failures':>10}{'client':>8}"
    yield f"{'allkit classify':40}{record['classify_images_per_s']:10.0f}"
    for row in record["loads"]:
        name = f"{row['route']}, {row['images']} image(s), {row['connections']} connection(s)"
        share, client = row["over_classify"]["value"], row["client_share_of_a_core"]
        figures = f"{share:13.2f}{row['p50_ms']:9.1f}{row['p99_ms']:9.1f}{row['failures']:10d}{client:8.0%}"
        yield f"{name:40}{row['images_per_s']:10.0f}{figures}"
    if told := record.get("memory"):
        quarters = ", ".join(f"{value:.0f}" for value in told["quarters_mib"])
        yield f"memory by quarter of {told['requests']} requests: {quarters} MiB; {told['failures']} failure(s)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=9, help="6 or more: fewer give no interval")
    parser.add_argument("--connections", type=int, default=16, help="of single images and small requests")
    parser.add_argument("--requests", type=int, default=0, help="of the memory check")
    given = parser.parse_args()
    if given.rounds < 6:
        parser.error("fewer than 6 rounds give no interval")
    if warning := busy():
        print(warning, file=sys.stderr)
    paths, several = expand([Path(given.data)]), given.connections
    loads = [
        *(Load("classify", 1, connections) for connections in (1, several)),
        *(Load("infer", images, min(several, 256 // images)) for images in (1, 8, 64)),
    ]
    classify: list[float] = []
    with server(given.model) as (process, port), callers(port, given.model, paths) as client:
        by_classify(given.data, given.model)
        for load in loads:
            client.ask(route=load.route, images=load.images, connections=load.connections)
        for number in range(given.rounds):
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
            classify.append(by_classify(given.data, given.model))
            for load in loads:
                load.round(client, len(paths))
        record = {
            "machine": {"processor": processor(), "cores": cores(), "onnxruntime": onnxruntime.__version__},
            "model": Path(given.model).name,
            "images": len(paths),
            "classify_images_per_s": round(statistics.median(classify), 1),
            "classify_rounds": [round(rate, 1) for rate in classify],
            "loads": [load.record(classify) for load in loads],
        }
        if given.requests:
            record["memory"] = memory(process, client, given.requests)
    print(as_json(record, compact=True))
    for line in table(record):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()

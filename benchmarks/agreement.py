"""Whether an application sees what `allkit bench` reports.

    python benchmarks/agreement.py DATA MODEL [MODEL ...] > benchmarks/results/agreement.json

In every round `allkit bench` measures the throughput from file to result, at the batch of the model's plan, and
`allkit classify` writes a row for each of the same files; each in a process of its own. Seconds of the whole process,
its start included, are set against the images a second that bench gave; classify's own figure stands beside it.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from allkit import Classifier
from allkit.bench.machine import facts
from allkit.bench.record import figures, load
from allkit.stats import ratio

ROUNDS = 7


def by_bench(model: str, data: str, batch: int, folder: str) -> float:
    record = Path(folder, "record.json")
    command = ["allkit", "bench", model, "--data", data, "--json", str(record), "--batch", str(batch)]
    command += ["--rounds", "2", "--seconds", "4", "--queries", "100"]
    subprocess.run(command, check=True, capture_output=True)
    return figures(load(record))[0].images_per_s[batch]


def by_classify(model: str, data: str) -> tuple[float, float]:
    """Images over the seconds of the process, and as it says itself."""
    command = ["allkit", "classify", data, "--model", model, "--format", "csv"]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    told = re.search(r"(\d+) image\(s\), ([\d.]+) images/s", done.stderr)
    return int(told[1]) / seconds, float(told[2])


def main(data: str, *models: str) -> None:
    results = []
    for model in models:
        batch = Classifier(model).plan.batch_size
        bench, process, own = [], [], []
        with tempfile.TemporaryDirectory() as folder:
            for number in range(ROUNDS):
                print(f"{Path(model).name} round {number + 1} of {ROUNDS}", file=sys.stderr)
                bench.append(by_bench(model, data, batch, folder))
                whole, told = by_classify(model, data)
                process.append(whole)
                own.append(told)
        rates = {"bench": bench, "classify, whole process": process, "classify, as it says": own}
        results.append(
            {
                "model": Path(model).name,
                "batch": batch,
                "images_per_s": {name: round(statistics.median(rounds), 1) for name, rounds in rates.items()},
                "rounds": {name: [round(rate, 1) for rate in rounds] for name, rounds in rates.items()},
                "bench_over_whole_process": asdict(ratio(process, bench)),
                "bench_over_as_it_says": asdict(ratio(own, bench)),
            }
        )
    print(json.dumps({"machine": facts(), "results": results}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])

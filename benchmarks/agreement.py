"""Whether `allkit classify` reaches the throughput that `allkit bench` reports.

    python benchmarks/agreement.py DATA MODEL [MODEL ...] > benchmarks/results/agreement.json

In every round, `allkit bench` measures the throughput from file to result at the batch size of the model's plan, and
the start-up time; `allkit classify` then writes a row for each of the same files. The rate of that whole process is
compared with what bench predicts, with and without the start-up time. The rate that classify itself reports is recorded
too.
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
from allkit.benchmark.measure.machine import facts
from allkit.benchmark.record.record import figures, load
from allkit.metrics import paired_ratio

ROUNDS = 7


def by_bench(model: str, data: str, batch: int, folder: str) -> tuple[float, float]:
    """Images per second, and seconds to start."""
    record = Path(folder, "record.json")
    command = ["allkit", "bench", model, "--data", data, "--json", str(record), "--batch", str(batch)]
    command += ["--rounds", "2", "--seconds", "4", "--queries", "100"]
    subprocess.run(command, check=True, capture_output=True)
    (row,) = figures(load(record))
    return row.images_per_s[batch], row.start_s


def by_classify(model: str, data: str) -> tuple[int, float, float]:
    """Number of images, seconds of the process, and images per second as reported by classify."""
    command = ["allkit", "classify", data, "--model", model, "--format", "csv"]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    told = re.search(r"(\d+) image\(s\), ([\d.]+) images/s", done.stderr)
    return int(told[1]), seconds, float(told[2])


def main(data: str, *models: str) -> None:
    results = []
    for model in models:
        batch = Classifier(model).plan.batch_size
        bench, with_start, process, own, starts = [], [], [], [], []
        with tempfile.TemporaryDirectory() as folder:
            for number in range(ROUNDS):
                print(f"{Path(model).name} round {number + 1} of {ROUNDS}", file=sys.stderr)
                rate, start = by_bench(model, data, batch, folder)
                files, seconds, told = by_classify(model, data)
                bench.append(rate)
                with_start.append(files / (start + files / rate))
                process.append(files / seconds)
                own.append(told)
                starts.append(start)
        rates = {
            "bench": bench,
            "bench, start included": with_start,
            "classify, whole process": process,
            "classify, as it says": own,
        }
        results.append(
            {
                "model": Path(model).name,
                "batch": batch,
                "files": files,
                "start_s": round(statistics.median(starts), 3),
                "images_per_s": {name: round(statistics.median(rounds), 1) for name, rounds in rates.items()},
                "rounds": {name: [round(rate, 1) for rate in rounds] for name, rounds in rates.items()},
                "start_included_over_whole_process": asdict(paired_ratio(with_start, process)),
                "bench_over_whole_process": asdict(paired_ratio(bench, process)),
                "bench_over_as_it_says": asdict(paired_ratio(bench, own)),
            }
        )
    print(json.dumps({"machine": facts(), "results": results}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])

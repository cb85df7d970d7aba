"""How much faster int8 is than fp32, round by round, from a record of `allkit bench`.

    python benchmarks/rounds.py benchmarks/results/bench.json

A round is one observation: all models take turns in it, so that other load on the machine affects them alike. Prints a
Markdown table of the models alone: medians of the rounds, and the paired ratio with its 95 % interval.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from allkit.benchmark.record.record import load
from allkit.benchmark.record.series import medians
from allkit.metrics import paired_ratio


def main(path: str) -> None:
    measured = load(Path(path))["rows"]
    # A file is named by its network and its precision.
    rows = {tuple(Path(row["model"]).stem.rsplit("-", 1)): row for row in measured}
    print("| network | fp32 / int8, ms | int8 is faster by | rounds |\n| --- | --- | --- | --- |")
    for (network, precision), row in rows.items():
        other = rows.get((network, "int8"))
        if precision != "fp32" or other is None:
            continue
        slow, fast = (medians(one["single"]["model_ms"]) for one in (row, other))
        found = paired_ratio(slow, fast)
        told = f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]" if found else "too few rounds"
        middle = f"{statistics.median(slow):.2f} / {statistics.median(fast):.2f}"
        print(f"| {network} | {middle} | {told} | {len(slow)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The paper's network at its four image sizes: what the study costs, and its record.

    python benchmarks/paper.py cost DATA WEIGHTS
    python benchmarks/paper.py record > benchmarks/results/paper.json
    python benchmarks/paper.py docs

`benchmarks/paper.sh` trains, exports and measures; this script reads its records in `results/paper/`, and
`paper_docs.py` puts them into the documentation. For each size it gives the paper's results; accuracy and weighted
metrics from ImageNet weights, on the random split and on grouped folds, and from random weights; latency and throughput
of the exported files. For every two sizes: the numbers of images that only one of them classifies correctly, and the
exact paired test by group of similar images, adjusted by Holm.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from paper_docs import write_docs

from allkit.benchmark.record.record import Figures, figures, load
from allkit.metrics import compare_accuracies, holm, least_difference
from allkit.report.paper import METRICS, TABLE_1, TABLE_2
from allkit.runs.record import TrainingRecord
from allkit.support.reading import read_json

RESULTS = Path(__file__).parent / "results"
RECORDS = RESULTS / "paper"
SIZES = tuple(size for size, _, _ in TABLE_1)
# The trainings of each size, by the folder names that paper.sh gives them.
TRAININGS = ("imagenet", "grouped", "scratch")
# The cost of one size: two trainings on 80 % of the images, and five folds on about 70 %.
EPOCHS, FOLDS, TRAIN_SHARE, GROUPED_SHARE = 25, 5, 0.8, 0.7


def cost(data: Path, weights: Path) -> None:
    """Time a few steps at 150 px and print how long all trainings take: work grows with the number of pixels."""
    from allkit.data.index import scan
    from allkit.imaging.pixel_path import PixelPath
    from allkit.model.architecture import VGG16
    from allkit.runs.recipe import PAPER
    from allkit.runs.settings import Settings
    from allkit.training.backend import device, prepare

    prepare()
    from allkit.training.train import build_model

    dataset, size = scan(data), SIZES[-1]
    recipe = PAPER.override(weights=str(weights), precision="bf16")
    model = build_model(Settings(VGG16, PixelPath(size), 1.0, 0, recipe, dataset.classes, str(data)))
    pixels = np.random.default_rng(0).integers(0, 256, (recipe.batch_size, size, size, 3), np.uint8)
    targets = np.eye(len(dataset.classes), dtype=np.float32)[np.arange(recipe.batch_size) % len(dataset.classes)]
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        model.train_on_batch(pixels, targets)
        seconds.append(time.perf_counter() - begin)
    per_image = statistics.median(seconds[1:]) / recipe.batch_size
    images = EPOCHS * len(dataset) * (2 * TRAIN_SHARE + FOLDS * GROUPED_SHARE)
    print(f"{1000 * per_image:.1f} ms per image and epoch at {size} px on {device()}; about:")
    total = 0.0
    for px in SIZES:
        total += (needed := per_image * images * (px / size) ** 2)
        print(f"  {px} px: {needed / 3600:6.1f} h for {2 + FOLDS} trainings of {EPOCHS} epochs")
    print(f"  in all: {total / 3600:6.1f} h, and minutes for export and measurement")


def record() -> dict[str, Any]:
    """The record of the study, from the records of its parts."""
    trainings = {
        (name, size): json.loads((RECORDS / f"{name}-{size}.json").read_text()) for name in TRAININGS for size in SIZES
    }
    for name, size in trainings:
        read_json(RECORDS / f"{name}-{size}.json", TrainingRecord, "make it again with benchmarks/paper.sh")
    bench = load(RECORDS / "bench.json")
    measured = {(row.width, row.size_px, row.precision): row for row in figures(bench)}
    rows = [
        {
            "size_px": size,
            "paper": {"accuracy": accuracy, "training_seconds": seconds},
            **{name: _result(trainings[name, size]) for name in TRAININGS},
            "speed": {p: _speed(measured[1.0, size, p]) for p in ("fp32", "int8")},
        }
        for size, seconds, accuracy in TABLE_1
    ]
    return {
        "schema_version": 1,
        "command": "benchmarks/paper.sh ALL/ WEIGHTS WORK/",
        "paper": {**dict(zip(METRICS, TABLE_2[-1][1], strict=True)), "size_px": 300},
        "rows": rows,
        "pairs": {name: _pairs({size: trainings[name, size] for size in SIZES}) for name in TRAININGS},
        "machine": bench["machine"],
    }


def _result(training: Mapping[str, Any]) -> dict[str, Any]:
    metrics = training["metrics"]
    return {
        **{name: metrics[name] for name in ("n", "groups", "accuracy", "precision", "recall", "f1", "mcc")},
        "baseline": training["baseline"]["value"],
        "training_seconds": round(training["training_seconds"]),
        "device": training["device"],
        "split": training["split"]["protocol"],
    }


def _speed(row: Figures) -> dict[str, Any]:
    return {
        "model": row.model,
        "mib": row.mib,
        "model_ms": row.model_ms[50],
        "file_to_result_ms": row.milliseconds,
        "images_per_s": max(row.images_per_s.values()),
        "accuracy": row.accuracy and vars(row.accuracy),
        "p_value_against_fp32": row.p_value,
    }


def _pairs(by_size: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Comparisons of every two sizes on the same test images."""
    columns = {size: training["predictions"] for size, training in by_size.items()}
    first = next(iter(columns.values()))
    assert all(found["path"] == first["path"] and found["group"] == first["group"] for found in columns.values())
    right = {size: np.equal(found["truth"], found["predicted"]) for size, found in columns.items()}
    pairs = list(combinations(by_size, 2))
    tests = [compare_accuracies(right[a], right[b], first["group"]) for a, b in pairs]
    p_values = holm([test.p_value for test in tests])
    return {
        "n": len(first["path"]),
        "groups": len(set(first["group"])),
        "smallest_difference_that_could_be_significant": least_difference(
            len(first["path"]), len(set(first["group"])), len(pairs)
        ),
        "rows": [
            {
                "sizes_px": pair,
                "only_first_right": test.only_a_right,
                "only_second_right": test.only_b_right,
                "p_value": p,
            }
            for pair, test, p in zip(pairs, tests, p_values, strict=True)
        ],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    of_cost = commands.add_parser("cost", help="time a few steps and print what the trainings take")
    of_cost.add_argument("data", type=Path)
    of_cost.add_argument("weights", type=Path)
    commands.add_parser("record", help="print the record of the study as JSON")
    commands.add_parser("docs", help="put the tables and the picture of results/paper.json into the documentation")
    options = parser.parse_args(arguments)
    if options.command == "cost":
        cost(options.data, options.weights)
    elif options.command == "record":
        print(json.dumps(record(), separators=(",", ":")))
    else:
        write_docs(json.loads((RESULTS / "paper.json").read_text()))


if __name__ == "__main__":
    main()

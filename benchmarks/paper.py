"""The paper's network at its four image sizes: what the study costs, and its record.

    python benchmarks/paper.py cost DATA WEIGHTS
    python benchmarks/paper.py record > benchmarks/results/paper.json
    python benchmarks/paper.py docs

`benchmarks/paper.sh` trains, exports and measures; this script reads its records in `results/paper/`. For each size it
gives the paper's results; accuracy and weighted metrics from ImageNet weights, on the random split and on grouped
folds, and from random weights; latency and throughput of the exported files. For every two sizes: the numbers of images
that only one of them classifies correctly, and the exact paired test by group of similar images, adjusted by Holm.
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

from allkit.benchmark.record.record import Figures, figures, load
from allkit.charts.chart import COLOURS
from allkit.metrics import SIGNIFICANT, Interval, compare_accuracies, holm, least_difference
from allkit.report.bench_charts import Line, against_size, lines_of
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
    from allkit.runs.architecture import VGG16
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


def table(study: Mapping[str, Any]) -> str:
    """The table in README."""
    header = (
        "image size",
        "accuracy in the paper",
        "ours, random split",
        "ours, unseen slides",
        "fp32, ms",
        "int8, ms",
    )
    rows = [
        (
            f"{row['size_px']} px",
            f"{row['paper']['accuracy']:.2f} %",
            *(_percent(row[name]["accuracy"]) for name in ("imagenet", "grouped")),
            *(f"{row['speed'][precision]['model_ms']:.0f}" for precision in ("fp32", "int8")),
        )
        for row in study["rows"]
    ]
    n = study["rows"][0]["imagenet"]["n"], study["pairs"]["grouped"]["n"], study["pairs"]["grouped"]["groups"]
    machine = study["machine"]
    return (
        f"{_markdown(header, rows)}\n\n95 % intervals; n = {n[0]} on the random split; unseen slides: five folds that "
        f"keep neighbouring files together, n = {n[1]:,} in {n[2]} groups; the paper has about 325 images of its own. "
        "Milliseconds per image: the model alone, "
        f"{machine['cores']} cores of {machine['processor']}.\n\n{answer(study)}"
    )


def answer(study: Mapping[str, Any]) -> str:
    """The answer to the paper's open question, in three sentences."""
    large, small = study["rows"][0], study["rows"][-1]
    pairs = study["pairs"]["grouped"]
    significant = [row for row in pairs["rows"] if row["p_value"] < SIGNIFICANT]
    assert not significant, "write another answer: sizes differ"
    sizes = f"{large['size_px']} px", f"{small['size_px']} px"
    accuracies = [100 * row["grouped"]["accuracy"]["value"] for row in (large, small)]
    milliseconds = [row["speed"]["int8"]["model_ms"] for row in (large, small)]
    least = 100 * pairs["smallest_difference_that_could_be_significant"]
    closest = min(pairs["rows"], key=lambda row: row["p_value"])
    return (
        f"A smaller image costs no accuracy that these data can show: on unseen slides the network is right on "
        f"{accuracies[0]:.1f} % of the images at {sizes[0]} and on {accuracies[1]:.1f} % at {sizes[1]}. It saves time: "
        f"at {sizes[1]} an image takes {milliseconds[1]:.0f} ms instead of {milliseconds[0]:.0f} ms, "
        f"{milliseconds[0] / milliseconds[1]:.1f} times less (int8). No two sizes differ significantly (the closest, "
        f"{closest['sizes_px'][0]} and {closest['sizes_px'][1]} px: p = {closest['p_value']:.2f}), which does not make "
        f"them equal: a difference below {least:.1f} points could not have been significant here, and the same "
        "training on another processor moved by up to 1.8 points."
    )


def study_page(study: Mapping[str, Any]) -> str:
    """The section of toolkit/docs/results.md."""
    header = ("px", "training", "n", "accuracy", "precision", "sensitivity", "F1", "MCC", "training, s")
    names = {"imagenet": "ImageNet weights", "grouped": "the same, unseen slides", "scratch": "random weights"}
    rows = []
    for row in study["rows"]:
        of_paper = (
            study["paper"] if row["size_px"] == study["paper"]["size_px"] else {"accuracy": row["paper"]["accuracy"]}
        )
        figures_ = [f"{of_paper[name]:.2f}" if name in of_paper else "-" for name in METRICS[1:]]
        accuracy, seconds = row["paper"]["accuracy"], row["paper"]["training_seconds"]
        rows.append((str(row["size_px"]), "the paper", "about 325", f"{accuracy:.2f}", *figures_, f"{seconds:,}"))
        for name, words in names.items():
            one = row[name]
            values = [f"{100 * one[metric]:.2f}" for metric in ("precision", "recall", "f1", "mcc")]
            shown = _percent(one["accuracy"]).replace(" %", "", 1)
            rows.append((str(row["size_px"]), words, f"{one['n']:,}", shown, *values, f"{one['training_seconds']:,}"))
    speeds = [
        (
            str(row["size_px"]),
            precision,
            f"{one['mib']:.1f}",
            f"{one['model_ms']:.1f}",
            f"{one['file_to_result_ms']:.1f}",
            f"{one['images_per_s']:.0f}",
            _percent(one["accuracy"]) if one["accuracy"] else "-",
        )
        for row in study["rows"]
        for precision, one in row["speed"].items()
    ]
    pairs = [
        (f"{a} and {b} px", names[name], f"{row['only_first_right']} : {row['only_second_right']}", _p(row["p_value"]))
        for name in names
        for row in study["pairs"][name]["rows"]
        for a, b in [row["sizes_px"]]
    ]
    base = study["rows"][0]
    return "\n\n".join(
        [
            answer(study),
            _markdown(header, rows),
            "Per cent with 95 % intervals that respect groups of similar images; precision, sensitivity and F1 "
            "weighted by class size, as in the paper. Training ran on one NVIDIA H200, six trainings at a time; the "
            "paper's on a laptop with a GPU. The colour baseline has "
            f"{100 * base['imagenet']['baseline']:.2f} % on the random split "
            f"and {100 * base['grouped']['baseline']:.2f} % on unseen slides. Protocol and recipe are the paper's, the "
            "test images are not: 277 of 2,770 here, about 325 of 3,256 there.",
            _markdown(("px", "precision", "MiB", "ms, model", "ms, file to result", "images/s", "accuracy"), speeds),
            f"All files in one run of `allkit bench` on {study['machine']['cores']} cores of "
            f"{study['machine']['processor']}.",
            _markdown(("sizes", "trainings", "only the first right : only the second", "p"), pairs),
            "Exact paired tests by group of similar images, adjusted by Holm within each kind of training.",
        ]
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _percent(interval: Mapping[str, float]) -> str:
    value, low, high = (100 * interval[end] for end in ("value", "low", "high"))
    return f"{value:.2f} % [{low:.2f}, {high:.2f}]"


def chart(study: Mapping[str, Any], bench: Mapping[str, Any], path: Path) -> None:
    """The chart in README: accuracy and latency against image size."""
    accuracies, latencies = lines_of(figures(bench))
    ours = [
        Line(words, {row["size_px"]: Interval(**row[name]["accuracy"]) for row in study["rows"]}, colour, marker, style)
        for name, words, colour, marker, style in (
            ("imagenet", "ours, random split", COLOURS[3], "o", "-"),
            ("grouped", "ours, unseen slides", COLOURS[4], "s", "--"),
        )
    ]
    against_size([accuracies[0], *ours], latencies).save(path)


def write_docs(study: Mapping[str, Any]) -> None:
    """Insert tables and chart at their marks in README and the results page."""
    root = RESULTS.parent.parent
    chart(study, load(RECORDS / "bench.json"), root / "toolkit/docs/images/accuracy-latency.svg")
    for path, name, text in (
        (root / "README.md", "paper table", table(study)),
        (root / "toolkit/docs/results.md", "paper study", study_page(study)),
    ):
        before, rest = path.read_text().split(f"<!-- {name} -->")
        _, after = rest.split(f"<!-- /{name} -->")
        path.write_text(f"{before}<!-- {name} -->\n{text}\n<!-- /{name} -->{after}")


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

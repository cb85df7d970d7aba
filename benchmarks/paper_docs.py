"""The study of `paper.py` in the documentation: the table and the chart in README, the section of the results page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from allkit.benchmark.record.record import figures, load
from allkit.charts.chart import COLOURS
from allkit.metrics import SIGNIFICANT, Interval
from allkit.report.bench_charts import Line, against_size, lines_of
from allkit.report.paper import METRICS

RESULTS = Path(__file__).parent / "results"
RECORDS = RESULTS / "paper"


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
    features = [
        json.loads((RESULTS / "comparators" / f"vgg16-features-{protocol}.json").read_text())["scores"]["accuracy"]
        for protocol in ("random", "grouped")
    ]
    rows.append(("features, 224 px", "-", *map(_percent, features), "-", "-"))
    n = study["rows"][0]["imagenet"]["n"], study["pairs"]["grouped"]["n"], study["pairs"]["grouped"]["groups"]
    machine = study["machine"]
    return (
        f"{_markdown(header, rows)}\n\n95 % intervals; n = {n[0]} on the random split; unseen slides: five folds that "
        f"keep neighbouring files together, n = {n[1]:,} in {n[2]} groups; the paper has about 325 images of its own. "
        "Features: those of its first three blocks from ImageNet, under logistic regression. "
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

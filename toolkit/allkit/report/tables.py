"""The tables of a report, which the page and the Markdown both show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from allkit.benchmark.record.record import Figures, by_size
from allkit.data.duplicates import connected_groups
from allkit.metrics import SIGNIFICANT, Interval, compare_accuracies, holm
from allkit.model.trained_on import TrainedOn
from allkit.report.comparison import comparison_tables
from allkit.report.paper import METRICS, TABLE_1, are_of_paper, methods
from allkit.report.sources import Exported, Sources, Training
from allkit.report.table import PAIR_HEADER, Table, not_shown, pair_row

# The network of the paper, as `Training.network` calls it.
_PAPERS = "vgg16 x1"


def tables(sources: Sources) -> list[Table]:
    """All that there is something to say in."""
    of_models = [make(sources.models) for make in (_models, _recalls, _shifts)]
    of_trainings = [make(sources.trainings) for make in (_sizes, _pairs)]
    made = [*of_models, *of_trainings[:1], _benchmarks(sources.measured), *of_trainings[1:], _methods(sources)]
    made += [table for comparison in sources.comparisons for table in comparison_tables(comparison)]
    return [table for table in made if table.rows]


def _interval(record: Mapping[str, Any]) -> str:
    return Interval(*(record[end] for end in ("value", "low", "high"))).percent(2)


def _models(models: Sequence[Exported]) -> Table:
    rows = []
    machines = sorted({model.machine for model in models if model.machine})
    measured = f"Speeds on {'; '.join(machines)}." if machines else ""
    for model in models:
        contract, shifts, speed = model.contract, _shifted(model), model.speed
        metrics = model.evaluation["metrics"] if model.evaluation else {}
        rows.append(
            (
                model.name,
                f"{model.mib:.2f}",
                _interval(metrics.get("accuracy", contract.accuracy)),
                str(metrics.get("n", contract.accuracy["n"])),
                _measured_on(model),
                f"{(model.evaluation or {}).get('baseline', contract.baseline)['value']:.2%}",
                f"{_calibration_error(model):.3f}",
                f"{sum(shifts.values()) / len(shifts):.1%}" if shifts else "-",
                f"{min(shifts.values()):.1%} ({min(shifts, key=shifts.get)})" if shifts else "-",
                f"{speed.model_ms[50]:.2f}" if speed and speed.model_ms[50] else "-",
                f"{max(speed.images_per_s.values()):.0f}" if speed and speed.images_per_s else "-",
            )
        )
    header = (
        "model",
        "MiB",
        "accuracy",
        "n",
        "on",
        "baseline",
        "calibration error",
        "shifts, mean",
        "shifts, worst",
        "ms",
        "images/s",
    )
    note = (
        "Accuracy with its 95 % Wilson interval, by group of similar images; baseline: the nearest colour histogram, "
        "which sees no shape; expected calibration error after temperature scaling; ms of the model alone, one image, "
        f"median; images/s from file to result, at the best batch size. {measured}"
    )
    note += "".join(f" {model.name}: {reason}." for model in models for reason in model.passed_over)
    return Table("Models", header, rows, note)


def _calibration_error(model: Exported) -> float:
    """On the images behind the accuracy."""
    if model.evaluation:
        return model.evaluation["doubt"]["calibration_error"]
    return model.contract.calibration["ece_after"]


def _labels(models: Sequence[Exported]) -> list[str]:
    """The names of the models, with the images behind their figures where those are not the same for all."""
    split = [(model.evaluation or {}).get("split") or {} for model in models]
    on = {(_measured_on(model), found.get("hash")) for model, found in zip(models, split, strict=True)}
    if len(on) == 1:
        return [model.name for model in models]
    # Splits of one protocol differ by their seeds and folds, which only their hashes tell.
    words = [where for where, _ in on]
    return [
        f"{model.name} on {where}" + (f" {found['hash'][:8]}" if words.count(where) > 1 and "hash" in found else "")
        for model, found in zip(models, split, strict=True)
        for where in [_measured_on(model)]
    ]


def _measured_on(model: Exported) -> str:
    """The images behind the accuracy."""
    if not model.evaluation:
        return f"test, {model.contract.split['protocol']}"
    split = model.evaluation["split"]
    words = f"{model.evaluation['part']}, {split['protocol']}" if split else "all images"
    if model.evaluation["seen_in_training"] == "unknown":
        return f"{words}; whether it was trained on them is unknown"
    told = model.evaluation.get("trained_on")
    return f"{words}; {TrainedOn(**told).text}" if told and told["left_out"] else words


def _recalls(models: Sequence[Exported]) -> Table:
    evaluated = [model for model in models if model.evaluation]
    shown = [model.evaluation["metrics"]["per_class"] for model in evaluated]
    classes = list(dict.fromkeys(label for of in shown for label in of))

    def recall(of: Mapping[str, Any], label: str) -> str:
        found = of.get(label, {}).get("recall")
        return _interval(found) if found else "-"

    rows = [
        (name, *(recall(of, label) for label in classes)) for name, of in zip(_labels(evaluated), shown, strict=True)
    ]
    return Table(
        "Recall by class", ("model", *classes), rows, "With 95 % Wilson intervals, by group of similar images."
    )


def _shifts(models: Sequence[Exported]) -> Table:
    evaluated = [model for model in models if _shifted(model)]
    shown = [_shifted(model) for model in evaluated]
    names = dict.fromkeys(name for of in shown for name in of)
    rows = [(name, *(f"{of[name]:.1%}" if name in of else "-" for of in shown)) for name in names]
    note = "Accuracy on the same images, changed as another microscope, camera or file format would."
    return Table("Imaging shifts", ("shift", *_labels(evaluated)), rows, note)


def _shifted(model: Exported) -> dict[str, float]:
    """Accuracies by shift; the images as they are, which the suite measures too, are none."""
    found = (model.evaluation or {}).get("shifts")
    return {row["name"]: row["accuracy"]["value"] for row in found["rows"][1:]} if found else {}


def _of_paper(judged: Iterable[Mapping[str, Any]]) -> bool:
    """Whether some of the metrics are of the paper's classes."""
    return any(are_of_paper(metrics["per_class"]) for metrics in judged)


def _sizes(trainings: Sequence[Training]) -> Table:
    header = ("here", "split", "n", "accuracy", "baseline", "training, s", "on")
    if not _of_paper(training.record["metrics"] for training in trainings):
        note = "Baseline: the nearest colour histogram, which sees no shapes."
        return Table("Image size", ("px", *header), [(str(one.size_px), *_trained(one)) for one in trainings], note)
    paper = {size: (seconds, accuracy) for size, seconds, accuracy in TABLE_1}
    rows = []
    for size in sorted({*paper, *(training.size_px for training in trainings)}, reverse=True):
        seconds, accuracy = paper.get(size, (None, None))
        told = (str(size), f"{accuracy:.2f}" if accuracy else "-", f"{seconds:,}" if seconds else "-")
        own = [training for training in trainings if training.size_px == size]
        rows += [(*told, *_trained(training)) for training in own]
        if accuracy and not any(training.network == _PAPERS for training in own):
            rows.append((*told, _PAPERS, "not run", *["-"] * 5))
    note = (
        "Table 1 of the paper beside the trainings of this report. The paper's networks have full width and started "
        "from ImageNet weights. Baseline: the nearest colour histogram, which sees no shapes."
    )
    return Table("Image size", ("px", "the paper, %", "its training, s", *header), rows, note)


def _benchmarks(measured: Sequence[tuple[Figures, str]]) -> Table:
    """Accuracy and cost of exported files, by image size."""
    rows = [
        (
            str(row.size_px),
            f"{row.network} {row.precision}",
            f"{row.mib:.2f}",
            row.accuracy.percent(2) if row.accuracy else "-",
            f"{row.model_ms[50]:.2f}" if row.model_ms[50] else "-",
            f"{row.milliseconds:.2f}" if row.milliseconds else "-",
            f"{max(row.images_per_s.values()):.0f}" if row.images_per_s else "-",
        )
        for row in by_size([row for row, _ in measured])
    ]
    header = ("px", "network", "MiB", "accuracy", "ms, model", "ms, file to result", "images/s")
    machines = "; ".join(sorted({machine for _, machine in measured}))
    note = f"Medians of one image, throughput at the best batch size measured, all in one run on {machines}."
    return Table("Latency and throughput by image size", header, rows, note)


def _trained(training: Training) -> tuple[str, ...]:
    record, recipe = training.record, training.record["settings"]["recipe"]
    return (
        f"{training.label}: {training.network}, {recipe['name']}, {recipe['epochs']} epochs",
        training.protocol,
        str(record["metrics"]["n"]),
        _interval(record["metrics"]["accuracy"]),
        f"{record['baseline']['value']:.2%}",
        f"{record['training_seconds']:,.0f}",
        record["device"],
    )


def _pairs(trainings: Sequence[Training]) -> Table:
    found = [(a, b) for a, b in combinations(trainings, 2) if a.right and a.right.keys() == b.right.keys()]
    tests = [
        compare_accuracies(list(a.right.values()), [b.right[path] for path in a.right], _together(a, b))
        for a, b in found
    ]
    adjusted = holm([test.p_value for test in tests])
    rows = [
        pair_row(a.name, b.name, str(test.n), test.only_a_right, test.only_b_right, p)
        for (a, b), test, p in zip(found, tests, adjusted, strict=True)
    ]
    note = (
        "Exact paired test on the same test images, which changes A and B by group of similar images (McNemar's where "
        "each stands alone), adjusted by Holm."
    )
    return Table("Differences", PAIR_HEADER, rows, f"{note}{_unseen(found, adjusted)}")


def _together(a: Training, b: Training) -> np.ndarray:
    """The group of each image of `a`, int64 (n,), where whatever either of the two keeps together is one group."""
    links = []
    for training in (a, b):
        first: dict[int, int] = {}
        links += [
            (first.setdefault(training.groups[path], row), row)
            for row, path in enumerate(a.right)
            if path in training.groups
        ]
    return connected_groups(len(a.right), links)


def _unseen(pairs: Sequence[tuple[Training, Training]], p_values: Sequence[float]) -> str:
    """What "no" leaves open."""
    return not_shown(
        (len(a.right), len(np.unique(_together(a, b))), len(pairs))
        for (a, b), p in zip(pairs, p_values, strict=True)
        if p >= SIGNIFICANT
    )


def _methods(sources: Sources) -> Table:
    evaluated = [model for model in sources.models if model.evaluation]
    judged = [(training.name, training.record["metrics"]) for training in sources.trainings]
    judged += zip(_labels(evaluated), (model.evaluation["metrics"] for model in evaluated), strict=True)
    on = dict.fromkeys([*(training.protocol for training in sources.trainings), *map(_measured_on, evaluated)])
    note = f"Per cent; precision, sensitivity and F1 weighted by class size. Measured here on: {'; '.join(on) or '-'}."
    if with_paper := _of_paper(metrics for _, metrics in judged):
        note += " Above them Table 2 of the paper, whose methods were each measured on images of their own."
    return Table("Methods", ("method", "n", *METRICS), list(methods(judged, with_paper)), note)

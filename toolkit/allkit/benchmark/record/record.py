"""Benchmark records as files, and the figures computed from their raw samples.

The table, the CSV, the Markdown and the page all show `Figures`, so they cannot disagree.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allkit.benchmark.record.schema import BenchRecord
from allkit.benchmark.record.series import percentile, trouble
from allkit.errors import AllkitError
from allkit.metrics import Interval
from allkit.metrics.records import Versioned
from allkit.model.trained_on import TrainedOn
from allkit.support.csvtext import path_field, text_field, write_rows
from allkit.support.reading import as_plain, read_json
from allkit.support.text import markdown

SCHEMA_VERSION = 1

Record = Mapping[str, Any]

IN_BOLD = "In bold: on the Pareto front of accuracy and latency."


def load(path: Path) -> Record:
    """Read a record as plain types; AllkitError when it is not one, contradicts itself, or has another schema."""
    fix = "it is not a record of `allkit bench`; give a file written by --json"
    version = read_json(path, Versioned, fix).schema_version
    if version != SCHEMA_VERSION:
        raise AllkitError(f"{path} has schema version {version}, this allkit reads {SCHEMA_VERSION}: measure again")
    return as_plain(read_json(path, BenchRecord, fix))


@dataclass(frozen=True)
class Figures:
    """The figures of one row of a record; None for what was not measured or has too few queries.

    model_ms, end_to_end_ms: latency of one image by percentile. images_per_s: by batch size. share_of_peak: operations
    per second at the median latency, relative to a matrix product of the same precision. start_s: seconds from the
    start of a new process to its first result, including load_s and first_run_s. drop, p_value: accuracy of the float32
    parent minus that of the model, exact paired test. status: "ok", "unstable: ..." with the reason, or the error.
    """

    model: str
    architecture: str | None
    size_px: int | None
    width: float | None
    precision: str | None
    mib: float | None
    gmac: float | None
    provider: str | None
    model_ms: dict[int, float | None]
    end_to_end_ms: dict[int, float | None]
    images_per_s: dict[int, float]
    start_s: float | None
    load_s: float | None
    first_run_s: float | None
    peak_mib: float | None
    accuracy: Interval | None
    drop: float | None
    p_value: float | None
    joules_per_image: float | None
    share_of_peak: float | None
    status: str

    @property
    def failed(self) -> bool:
        """Whether the row holds an error."""
        return self.status != "ok" and not self.status.startswith("unstable")

    @property
    def network(self) -> str:
        """Architecture and width, as in `vgg16 x0.25`, or - for a model that could not be opened."""
        return f"{self.architecture} x{self.width:g}" if self.architecture else "-"

    @property
    def milliseconds(self) -> float | None:
        """The median latency of one image from file to result."""
        return self.end_to_end_ms[50]


def figures(record: Record) -> list[Figures]:
    """The figures of every row of a record."""
    return [_figures(row, record["machine"].get("peak_gops", {})) for row in record["rows"]]


def by_size(rows: Sequence[Figures]) -> list[Figures]:
    """The rows in table order: largest image size first, then by network, the widest first."""
    return sorted(rows, key=lambda row: (-(row.size_px or 0), row.architecture or "", -(row.width or 0)))


def _figures(row: Mapping[str, Any], peaks: Mapping[str, float]) -> Figures:
    single = row.get("single", {"model_ms": [], "end_to_end_ms": []})
    latencies = {name: {p: percentile(rounds, p) for p in (50, 90, 99)} for name, rounds in single.items()}
    offline = {int(batch): rounds for batch, rounds in row.get("offline", {}).items() if rounds}
    accuracy = row["accuracy"]["metrics"]["accuracy"] if row.get("accuracy") and not seen(row) else None
    joules = row.get("joules_per_image")
    against = row.get("against_parent") or {}
    peak = peaks.get("int8" if row.get("precision") == "int8" else "fp32")
    median = latencies["model_ms"][50]
    return Figures(
        architecture=row["origin"][0] if row.get("origin") else None,
        **{name: row.get(name) for name in ("model", "size_px", "width", "precision", "mib", "gmac", "provider")},
        **latencies,
        images_per_s={batch: float(np.median(np.concatenate(rounds))) for batch, rounds in offline.items()},
        **{name: row.get(name) for name in ("start_s", "load_s", "first_run_s", "peak_mib")},
        joules_per_image=float(np.median(joules)) if joules else None,
        accuracy=Interval(**accuracy) if accuracy else None,
        drop=0.0 - against["difference"] if against else None,
        p_value=against.get("p_value"),
        share_of_peak=2 * row["gmac"] / median * 1000 / peak
        if median and peak and row["provider"] == "CPUExecutionProvider"
        else None,
        status=row.get("error") or _stability(single, offline),
    )


def seen(row: Mapping[str, Any]) -> bool:
    """Whether a model may have been trained on the images that its accuracy was measured on."""
    return row["accuracy"]["seen_in_training"] in ("yes", "maybe")


def _images_of(record: Record, words: Callable[[str], str]) -> list[str]:
    """A sentence about the images that accuracies were measured on, by model if they differ."""
    models: dict[tuple[str, str, int], list[str]] = {}
    for row in record["rows"]:
        if row.get("accuracy") and not seen(row):
            found, split = row["accuracy"], row["accuracy"]["split"] or {}
            protocol = f" of the {split['protocol']} split" if "protocol" in split else ""
            where = f"{found['part']} part{protocol}" if found["part"] != "all" else "all images"
            images = found.get("measured") or split.get("hash", found["data_fingerprint"])
            key = (where, images, found["metrics"]["n"])
            models.setdefault(key, []).append(row["model"])
    if len(models) < 2:
        return [f"Accuracy on: {words(where)}, n = {n}." for where, _, n in models]
    told = "; ".join(f"{words(where)}, n = {n}: {words(', '.join(of))}" for (where, _, n), of in models.items())
    return [f"Accuracy was measured on different images and cannot be compared between them: {told}."]


def _stability(single: Mapping[str, Sequence], offline: Mapping[int, Sequence]) -> str:
    series = {"model": single["model_ms"], "end to end": single["end_to_end_ms"]}
    series |= {f"batch {batch}": rounds for batch, rounds in offline.items()}
    found = [f"{name} {what}" for name, rounds in series.items() if (what := trouble(rounds))]
    return f"unstable: {', '.join(found)}" if found else "ok"


def placed(rows: Sequence[Figures]) -> list[Figures]:
    """The rows with an accuracy and a latency, fastest first."""
    found = [row for row in rows if row.accuracy and row.milliseconds and not row.failed]
    return sorted(found, key=lambda row: row.milliseconds)


def pareto(rows: Sequence[Figures]) -> set[str]:
    """The models that no other model exceeds in both accuracy and speed."""
    return undominated([(row.model, row.milliseconds, row.accuracy.value) for row in placed(rows)])


def undominated(points: Sequence[tuple[str, float, float]]) -> set[str]:
    """The names, of (name, milliseconds, accuracy), that no other exceeds in both accuracy and speed."""
    return {
        name
        for name, ms, accuracy in points
        if not any(
            other_ms <= ms and other >= accuracy and (other_ms < ms or other > accuracy)
            for _, other_ms, other in points
        )
    }


def cells(row: Figures) -> dict[str, str]:
    """The cells of a table row, by column."""

    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    def three(values: Mapping[int, float | None]) -> str:
        return " / ".join(number(values[p], ".2f") for p in (50, 90, 99))

    return {
        "model": row.model,
        "network": f"{row.network}, {row.size_px} px, {row.precision}" if row.precision else "-",
        "MiB": number(row.mib, ".2f"),
        "GMAC": number(row.gmac, ".3f"),
        "on": (row.provider or "-").removesuffix("ExecutionProvider"),
        "model ms": three(row.model_ms),
        "file to result ms": three(row.end_to_end_ms),
        "images/s (batch)": ", ".join(f"{rate:.0f} ({batch})" for batch, rate in row.images_per_s.items()) or "-",
        "start, load, first s": ", ".join(number(s, ".2f") for s in (row.start_s, row.load_s, row.first_run_s)),
        "peak MiB": number(row.peak_mib, ".0f"),
        "accuracy": row.accuracy.percent(2) if row.accuracy else "-",
        "drop": "-" if row.drop is None else f"{100 * row.drop:+.2f} (p {row.p_value:.2f})",
        "J/image": number(row.joules_per_image, ".4f"),
        "of peak": number(row.share_of_peak, ".0%"),
        "status": "failed" if row.failed else row.status.partition(":")[0],
    }


def compact(row: Figures, on_front: bool) -> dict[str, str]:
    """The figures to choose by, as the words that a table shows."""
    verdict = "failed" if row.failed else "front" if on_front else "" if row.status == "ok" else "unstable"
    return {
        "model": row.model.removesuffix(".onnx"),
        "accuracy, %": f"{100 * row.accuracy.value:.2f} [{100 * row.accuracy.low:.1f}, {100 * row.accuracy.high:.1f}]"
        if row.accuracy
        else "-",
        "ms": f"{row.milliseconds:.2f}" if row.milliseconds else "-",
        "images/s": f"{max(row.images_per_s.values()):.0f}" if row.images_per_s else "-",
        "MiB": f"{row.mib:.2f}" if row.mib else "-",
        "verdict": verdict,
    }


def as_csv(record: Record, recommended: str | None) -> str:
    """One line per model with a column per figure, 1 in the last for the recommended one.

    No field is a formula to a spreadsheet (`csvtext`).
    """
    stream = io.StringIO()
    rows = []
    for row in figures(record):
        flat = {"model": path_field(row.model), "size_px": row.size_px, "width": row.width}
        flat |= {name: text_field(getattr(row, name)) for name in ("architecture", "precision")}
        flat |= {"mib": row.mib, "gmac": row.gmac}
        flat["provider"] = text_field(row.provider)
        for name, values in (("model", row.model_ms), ("end_to_end", row.end_to_end_ms)):
            flat |= {f"{name}_ms_p{p}": value for p, value in values.items()}
        flat["images_per_s"] = ";".join(f"{batch}:{rate:.2f}" for batch, rate in row.images_per_s.items())
        flat |= {name: getattr(row, name) for name in ("start_s", "load_s", "first_run_s", "peak_mib")}
        for name in ("value", "low", "high"):
            flat[f"accuracy_{name}"] = getattr(row.accuracy, name) if row.accuracy else None
        flat |= {"drop": row.drop, "p_value": row.p_value, "joules_per_image": row.joules_per_image}
        flat |= {"share_of_peak": row.share_of_peak, "status": text_field(row.status)}
        flat["recommended"] = int(row.model == recommended)
        rows.append(flat)
    write_rows(stream, [list(rows[0]), *(flat.values() for flat in rows)])
    return stream.getvalue()


def as_markdown(record: Record, recommendation: str) -> str:
    """The table and what has to be said with it. recommendation: a sentence."""
    rows = [cells(row) for row in by_size(figures(record))]
    front = pareto(figures(record))
    lines = [" | ".join(["", *rows[0], ""]).strip(), "|" + "---|" * len(rows[0])]
    for row in rows:
        bold = "**" if row["model"] in front else ""
        model, *others = map(markdown, row.values())
        lines.append(" | ".join(["", f"{bold}{model}{bold}", *others, ""]).strip())
    told = (markdown(recommendation), *notes(record, markdown), IN_BOLD)
    return "\n".join([*lines, "", *(f"{line}\n" for line in told)])


def notes(record: Record, words: Callable[[str], str] = str) -> list[str]:
    """How the figures were measured, and warnings, as sentences.

    words: escapes text that comes from the record, for output formats with markup.
    """
    machine, settings, data = record["machine"], record["settings"], record["data"]
    libraries = words(", ".join(f"{name} {number}" for name, number in machine["libraries"].items()))
    remarks = [f"{words(row.model)}: {words(row.status)}." for row in figures(record) if row.status != "ok"]
    notices = sorted({row["notice"] for row in record["rows"] if row.get("notice")})
    remarks += [f"{words(notice)}." for notice in notices]
    for row in record["rows"]:
        model = words(row["model"])
        if error := row.get("accuracy_error"):
            remarks.append(f"{model}: no accuracy: {words(error)}.")
        elif row.get("accuracy") and seen(row):
            remarks.append(f"{model}: no accuracy: it may have been trained on the images.")
        elif row.get("accuracy", {}) and row["accuracy"]["seen_in_training"] == "unknown":
            n = row["accuracy"]["metrics"]["n"]
            remarks.append(
                f"{model}: accuracy on {n} images; it does not list its training images, so these may be among them."
            )
        if found := (row.get("accuracy") or {}).get("trained_on"):
            counts = TrainedOn(**found)
            remarks += [f"{model}: {counts.text}."] if counts.trained else []
    return [
        *remarks,
        *_images_of(record, words),
        f"Measured {words(record['time'])} on {words(machine['gpu'] or machine['processor'])}, {machine['cores']} "
        f"cores, {machine['memory_gib']} GiB; {libraries}. Load before: {machine['load']}.",
        f"Queries are {data['files']} {words(data['kind'])} in turn. At least "
        f"{settings['seconds']:g} s and {settings['queries']} queries per scenario in {settings['rounds']} rounds, in "
        "which the models take turns; no sample is left out. Latencies are p50 / p90 / p99 of one image, counted from "
        "when it was due; p90 needs 64 queries, p99 662. Start: time from a new process to its first result, including "
        "load and first run. `allkit classify` takes about the start plus the number of files divided by the images/s "
        "at its batch size.",
        "Accuracy with its 95 % Wilson interval; drop from the float32 file of the same run with the exact paired "
        "test; both by group of similar images. Research use; not for diagnosis.",
    ]

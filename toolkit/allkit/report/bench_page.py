"""A benchmark as one HTML page, beside the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from allkit.benchmark.record.choose import Recommendation
from allkit.benchmark.record.record import (
    Figures,
    Record,
    by_size,
    cells,
    compact,
    figures,
    notes,
    pareto,
    placed,
    seen,
)
from allkit.report.bench_charts import against_size, front, latencies, lines_of, throughput
from allkit.report.html import Verdict, as_figure, inline, render
from allkit.report.paper import METRICS, TABLE_1, TEST_IMAGES, are_of_paper, methods

_ABOUT_PAPER = (
    f"The paper's intervals are Wilson's for {TEST_IMAGES} test images, which it does not state itself; its networks "
    "started from ImageNet weights."
)
_MACHINE = {"memory_gib": "memory, GiB", "gpu": "GPU", "peak_gops": "peak of a matrix product, GOPS"}


def bench_page(record: Record, recommendation: Recommendation) -> str:
    """The page as text."""
    rows = by_size(figures(record))
    best = pareto(rows)
    measured = [row for row in record["rows"] if row.get("accuracy") and not seen(row)]
    judged = [(row["model"], row["accuracy"]["metrics"]) for row in measured]
    as_paper = any(are_of_paper(metrics["per_class"]) for _, metrics in judged)
    baselines = _baselines(measured)
    return render(
        "bench.html.j2",
        title="Accuracy against latency",
        summary=_verdict(recommendation, rows),
        compact=_table([compact(row, row.model in best) for row in rows]),
        full=_table([cells(row) for row in rows]),
        classes=["front" if row.model in best else "bad" if row.failed else "" for row in rows],
        front=front_chart(rows),
        sizes=size_chart(rows),
        latencies=_latencies(record),
        throughput=_throughput(rows),
        table_1=_beside_table_1(rows) if as_paper else [],
        about_paper=_ABOUT_PAPER,
        metric_names=METRICS,
        methods=[
            *methods(judged, as_paper),
            *([name, str(n), f"{100 * value:.2f}", *"----"] for name, n, value in baselines),
        ],
        baselines=baselines,
        confusions=judged,
        notes=notes(record),
        machine=[(_MACHINE.get(name, name), _words(value)) for name, value in record["machine"].items()],
    )


def _table(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    return {"header": list(rows[0]), "rows": [list(row.values()) for row in rows]}


def front_chart(rows: Sequence[Figures]) -> Any:
    """Accuracy against latency with the Pareto front, as HTML; None where no accuracy was measured."""
    measured = placed(rows)
    if not measured:
        return None
    words = "; ".join(f"{row.model} {row.milliseconds:.2f} ms, {row.accuracy.percent()}" for row in measured)
    best = pareto(measured)
    on_front = ", ".join(row.model for row in measured if row.model in best)
    return inline(front(measured), "Accuracy and latency", f"{words}. On the Pareto front: {on_front}.")


def size_chart(rows: Sequence[Figures]) -> Any:
    """Accuracy and latency against image size, as HTML; None where there is one size alone."""
    measured = placed(rows)
    if len({row.size_px for row in measured}) < 2:
        return None
    words = "; ".join(
        f"{row.size_px} px, {row.network} {row.precision}: {row.accuracy.percent()}, {row.milliseconds:.2f} ms"
        for row in measured
    )
    return inline(against_size(*lines_of(rows)), "Accuracy and latency against image size", words)


def _verdict(recommendation: Recommendation, rows: Sequence[Figures]) -> Verdict:
    if recommendation.model is None:
        return Verdict((), recommendation.sentence)
    row = next(row for row in rows if row.model == recommendation.model)
    shown = [(f"{row.milliseconds:.2f} ms", "per image, from file to result (median)")]
    if row.accuracy:
        shown.insert(0, as_figure(row.accuracy))
    if row.images_per_s:
        shown.append((f"{max(row.images_per_s.values()):,.0f}", "images per second at the best batch size"))
    return Verdict(shown, recommendation.sentence)


def _latencies(record: Record) -> Any:
    series = {
        row["model"].removesuffix(".onnx"): [time for times in row["single"]["end_to_end_ms"] for time in times]
        for row in record["rows"]
        if row.get("single", {}).get("end_to_end_ms")
    }
    if not series:
        return None
    words = "; ".join(f"{name}: {len(ms)} queries, {min(ms):.2f} to {max(ms):.2f} ms" for name, ms in series.items())
    return inline(latencies(series), "Latency of single images", words)


def _throughput(rows: Sequence[Figures]) -> Any:
    chart = throughput(rows)
    if chart is None:
        return None
    told = {row.model: ", ".join(f"{rate:.0f} at {batch}" for batch, rate in row.images_per_s.items()) for row in rows}
    words = "; ".join(f"{model}: {rates}" for model, rates in told.items())
    return inline(chart, "Throughput against batch size", words)


def _beside_table_1(rows: Sequence[Figures]) -> list[tuple[str, ...]]:
    found = []
    for size, seconds, accuracy in TABLE_1:
        own = [row for row in rows if row.accuracy and row.size_px == size]
        here = "; ".join(f"{row.network} {row.precision} {row.accuracy.percent(2)}" for row in own) or "not measured"
        found.append((str(size), f"{accuracy:.2f}", f"{seconds:,}", here))
    return found


def _baselines(measured: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, float]]:
    return sorted(
        {
            (of["baseline"]["method"], of["metrics"]["n"], of["baseline"]["value"])
            for of in (row["accuracy"] for row in measured)
        }
    )


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items())
    if isinstance(value, list):
        return ", ".join(value)
    return "-" if value in (None, "") else str(value)

"""A benchmark as one HTML page, beside the paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from allkit.benchmark.record.record import (
    IN_BOLD,
    Figures,
    Record,
    by_size,
    cells,
    figures,
    notes,
    pareto,
    placed,
    seen,
)
from allkit.metrics import wilson
from allkit.report.bench_charts import STYLE, Axis, Point, distributions, scatter
from allkit.report.frame import confusion, document, numbers, text
from allkit.report.paper import METRICS, TABLE_1, TEST_IMAGES, methods

_STYLE = """
.front td{font-weight:600}
.models td{white-space:nowrap}
"""

_PRECISIONS = ("fp32", "int8", "fp16")


def render(record: Record) -> str:
    """The page as text."""
    rows = by_size(figures(record))
    return document(
        "allkit bench",
        STYLE + _STYLE,
        [
            "<h1>Accuracy against latency</h1>",
            *_table(rows),
            *(f'<p class="soft">{text(line)}</p>' for line in (*notes(record), IN_BOLD)),
            *_front(record, rows),
            *_latencies(record),
            *_throughput(rows),
            *against_size(rows),
            *_methods(record),
            *_confusions(record),
            *_machine(record),
        ],
    )


def scatter_of(rows: Sequence[Figures]) -> str | None:
    """Accuracy against latency with intervals and the Pareto front, as SVG; None where no accuracy was measured."""
    measured, front = placed(rows), pareto(rows)
    if not measured:
        return None
    points = [
        Point(
            row.milliseconds,
            row.accuracy.value,
            row.model.removesuffix(".onnx"),
            row.accuracy.low,
            row.accuracy.high,
            _PRECISIONS.index(row.precision) if row.precision in _PRECISIONS else len(_PRECISIONS),
        )
        for row in measured
    ]
    best = [row for row in measured if row.model in front]
    corners: list[tuple[float, float]] = []
    for row in best:
        # Between two models one pays for the slower and has the accuracy of the faster.
        corners += [(row.milliseconds, corners[-1][1])] if corners else []
        corners.append((row.milliseconds, row.accuracy.value))
    words = "; ".join(f"{row.model} {row.milliseconds:.2f} ms, {row.accuracy.percent()}" for row in measured)
    return scatter(
        points,
        Axis("median latency from file to result, ms", log=True),
        Axis("accuracy", form="{:.1%}".format),
        "Accuracy and latency",
        f"{words}. On the Pareto front: {', '.join(row.model for row in best)}.",
        corners,
    )


def _table(rows: Sequence[Figures]) -> Iterator[str]:
    front = pareto(rows)
    head = "".join(f'<th class="number">{text(name)}</th>' for name in cells(rows[0]))
    yield f'<div class="wide"><table class="models"><tr>{head}</tr>'
    for row in rows:
        mark = ' class="front"' if row.model in front else ' class="bad"' if row.failed else ""
        yield f"<tr{mark}>{numbers(cells(row).values())}</tr>"
    yield "</table></div>"


def _front(record: Record, rows: Sequence[Figures]) -> Iterator[str]:
    chart = scatter_of(rows)
    if chart is None:
        yield "<h2>Accuracy and latency</h2><p>No labelled images: accuracy was not measured.</p>"
        return
    yield f"<h2>Accuracy and latency</h2><figure>{chart}"
    yield (
        "<figcaption>Circles fp32, squares int8, triangles fp16; 95 % intervals; the dashed line is the Pareto front."
        "</figcaption></figure>"
    )
    for method, n, value in _baselines(record):
        yield f"<p>For comparison: the {text(method)}, blind to every shape, scores {value:.2%} on {n} images.</p>"


def _latencies(record: Record) -> Iterator[str]:
    series = {
        row["model"].removesuffix(".onnx"): [time for times in row["single"]["end_to_end_ms"] for time in times]
        for row in record["rows"]
        if row.get("single", {}).get("end_to_end_ms")
    }
    if not series:
        return
    words = "; ".join(f"{name}: {len(ms)} queries, {min(ms):.2f} to {max(ms):.2f} ms" for name, ms in series.items())
    chart = distributions(series, Axis("from file to result, ms", log=True), "Latency of single images", words)
    yield f"<h2>Latency of single images</h2><figure>{chart}"
    yield "<figcaption>A tick is a query; of many, evenly chosen ones and the slowest. The box is the middle half, the "
    yield "line in it the median.</figcaption>"
    yield "</figure>"


def _throughput(rows: Sequence[Figures]) -> Iterator[str]:
    lines = {
        row.model.removesuffix(".onnx"): [Point(batch, rate) for batch, rate in sorted(row.images_per_s.items())]
        for row in rows
        if len(row.images_per_s) > 1
    }
    if not lines:
        return
    batches = sorted({int(point.x) for series in lines.values() for point in series})
    words = _words(lines, "{1:.0f} at {0:g}")
    chart = scatter(
        [],
        Axis("batch", log=True, ticks=batches),
        Axis("images a second, from file to result"),
        "Throughput against batch",
        words,
        lines=lines,
    )
    yield f"<h2>Throughput against batch</h2><figure>{chart}</figure>"


def against_size(rows: Sequence[Figures]) -> Iterator[str]:
    """Accuracy and latency against image size, beside the paper's Table 1."""
    lines = {}
    for kind in sorted({(row.width, row.precision) for row in rows if row.accuracy}):
        own = [row for row in rows if row.accuracy and (row.width, row.precision) == kind]
        own.sort(key=lambda row: row.size_px)
        lines[f"allkit, x{kind[0]:g} {kind[1]}"] = [
            Point(row.size_px, row.accuracy.value, low=row.accuracy.low, high=row.accuracy.high) for row in own
        ]
    # Last, so that a network has one colour in both charts.
    lines["the paper, x1"] = [_of_paper(size, accuracy) for size, _, accuracy in reversed(TABLE_1)]
    latencies = {
        name: [
            Point(row.size_px, row.model_ms[50])
            for row in sorted(rows, key=lambda row: row.size_px or 0)
            if row.accuracy and row.model_ms[50] and f"allkit, x{row.width:g} {row.precision}" == name
        ]
        for name in lines
    }
    latencies = {name: points for name, points in latencies.items() if points}
    words = _words(lines, "{0:g} px {1:.2%}")
    chart = scatter(
        [],
        Axis("image size, px", ticks=(112, 150, 200, 250, 300)),
        Axis("accuracy", form="{:.0%}".format),
        "Accuracy against image size",
        words,
        lines=lines,
    )
    yield f"<h2>Image size, beside the paper's Table 1</h2><figure>{chart}"
    yield (
        f"<figcaption>The paper's intervals are Wilson's for {TEST_IMAGES} test images, which it does not state "
        "itself; its networks started from ImageNet weights.</figcaption></figure>"
    )
    if latencies:
        chart = scatter(
            [],
            Axis("image size, px", ticks=(112, 150, 200, 250, 300)),
            Axis("median latency, ms", log=True),
            "Latency against image size",
            _words(latencies, "{0:g} px {1:.2f} ms"),
            lines=latencies,
        )
        yield f"<figure>{chart}</figure>"
    yield '<div class="wide"><table><tr><th class="number">px</th><th class="number">the paper, x1</th>'
    yield '<th class="number">its training, s</th><th>measured here</th></tr>'
    for size, seconds, accuracy in TABLE_1:
        own = [row for row in rows if row.accuracy and row.size_px == size]
        here = "; ".join(f"x{row.width:g} {row.precision} {row.accuracy.percent(2)}" for row in own) or "-"
        yield f'<tr><td class="number">{size}</td><td class="number">{accuracy:.2f}</td>'
        yield f'<td class="number">{seconds:,}</td><td>{text(here)}</td></tr>'
    yield "</table></div>"


def _words(lines: Mapping[str, Sequence[Point]], form: str) -> str:
    """What a chart of lines shows, for those who do not see it."""
    return "; ".join(f"{name}: {', '.join(form.format(p.x, p.y) for p in series)}" for name, series in lines.items())


def _of_paper(size: int, accuracy: float) -> Point:
    interval = wilson(round(accuracy / 100 * TEST_IMAGES), TEST_IMAGES)
    return Point(size, accuracy / 100, low=interval.low, high=interval.high, kind=4)


def _methods(record: Record) -> Iterator[str]:
    yield "<h2>Metrics, beside the paper's Table 2</h2>"
    heads = "".join(f'<th class="number">{name}</th>' for name in METRICS)
    yield f'<div class="wide"><table><tr><th>method</th><th>n</th>{heads}</tr>'
    for method, n, *values in methods(
        (row["model"], row["accuracy"]["metrics"]) for row in record["rows"] if row.get("accuracy") and not seen(row)
    ):
        yield f"<tr><td>{text(method)}</td><td>{n}</td>{numbers(values)}</tr>"
    for method, n, value in _baselines(record):
        yield f'<tr><td>{text(method)}</td><td>{n}</td><td class="number">{100 * value:.2f}</td>{"<td></td>" * 4}</tr>'
    yield "</table></div>"
    yield (
        '<p class="soft">Per cent; precision, sensitivity and F1 weighted by class size, as in the paper. The nearest '
        "colour histogram sees no shape at all: a model near it need not have learned anything about cells.</p>"
    )


def _baselines(record: Record) -> list[tuple[str, int, float]]:
    found = {
        (row["accuracy"]["baseline"]["method"], row["accuracy"]["metrics"]["n"], row["accuracy"]["baseline"]["value"])
        for row in record["rows"]
        if row.get("accuracy") and not seen(row)
    }
    return sorted(found)


def _confusions(record: Record) -> Iterator[str]:
    rows = [row for row in record["rows"] if row.get("accuracy") and not seen(row)]
    if not rows:
        return
    yield '<h2>Confusion</h2><div class="row">'
    for row in rows:
        yield from confusion(row["accuracy"]["metrics"], row["model"])
    yield "</div>"


def _machine(record: Record) -> Iterator[str]:
    yield "<h2>Machine</h2><table>"
    for name, value in record["machine"].items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {number}" for key, number in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        shown = "-" if value in (None, "") else str(value)
        yield f"<tr><td>{text(name.replace('_', ' '))}</td><td>{text(shown)}</td></tr>"
    yield "</table>"

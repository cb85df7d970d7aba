"""A benchmark as tables on stdout."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from allkit.benchmark.record.compare import Comparison
from allkit.benchmark.record.record import Figures, Record, by_size, cells, figures, notes, pareto
from allkit.cli.console import wide_console
from allkit.cli.terminal import say

_LEFT = ("model", "network", "on", "status", "verdict")


def print_record(record: Record, wide: bool = False) -> None:
    """One row per model, those on the Pareto front marked, and what the figures are of.

    wide: every figure; otherwise six columns that fit 80 characters.
    """
    rows = by_size(figures(record))
    front = pareto(rows)
    shown = {row.model: cells(row) if wide else _compact(row, row.model in front) for row in rows}
    table = Table(title="\naccuracy against latency", box=SIMPLE_HEAD, pad_edge=False)
    for column in shown[rows[0].model]:
        table.add_column(column, justify="left" if column in _LEFT else "right", overflow="fold", no_wrap=not wide)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        style = "red" if row.failed else "yellow" if row.status != "ok" else "bold" if row.model in front else ""
        last = following is not None and following.size_px != row.size_px
        table.add_row(*shown[row.model].values(), style=style, end_section=last)
    wide_console().print(table)
    say("front: on the Pareto front of accuracy and latency\n" if front else "")
    for line in notes(record):
        say(line)


def _compact(row: Figures, on_front: bool) -> dict[str, str]:
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


def print_comparison(comparison: Comparison) -> None:
    """One row per model and measure, and what else differs."""
    table = Table(title="second against first", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("model", "measure", "first", "second", "ratio", "p", ""):
        table.add_column(column, justify="left" if column in ("model", "measure", "") else "right")
    for change in comparison.changes:
        ratio = change.ratio
        shown = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]" if ratio else "-"
        verdict = "significant" if change.significant else "not significant"
        cells_ = (f"{change.first:.4g}", f"{change.second:.4g}", shown, f"{change.p_value:.3f}", verdict)
        table.add_row(change.model, change.measure, *cells_, style="bold" if change.significant else "")
    wide_console().print(table)
    say(
        "Medians of rounds, each round one observation. Ratio: Hodges-Lehmann estimate with a 95 % interval per row. "
        "p: exact rank-sum test, for accuracies the exact test by group, adjusted by Holm over all rows."
    )
    for remark in comparison.remarks:
        say(f"- {remark}")

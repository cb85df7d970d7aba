"""A benchmark as tables on stdout."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from allkit.benchmark.record.compare import Comparison
from allkit.benchmark.record.record import Record, by_size, cells, compact, figures, notes, pareto
from allkit.cli.console import wide_console
from allkit.cli.terminal import say

_LEFT = ("model", "network", "on", "status", "verdict")


def print_record(record: Record, wide: bool = False) -> None:
    """One row per model, those on the Pareto front marked, and what the figures are of.

    wide: every figure; otherwise six columns that fit 80 characters.
    """
    rows = by_size(figures(record))
    front = pareto(rows)
    shown = {row.model: cells(row) if wide else compact(row, row.model in front) for row in rows}
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

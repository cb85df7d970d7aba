"""A benchmark on the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from allkit.benchmark.record.compare import Comparison
from allkit.benchmark.record.record import Record, cells, figures, notes, pareto
from allkit.cli.console import wide_console
from allkit.cli.terminal import say

_LEFT = ("model", "network", "on", "status")


def print_record(record: Record) -> None:
    """One row per model, those on the Pareto front marked, and what the figures are of."""
    rows = figures(record)
    front = pareto(rows)
    table = Table(title="\nwhat a millisecond buys", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("", *cells(rows[0])):
        table.add_column(column, justify="left" if column in _LEFT else "right", overflow="fold")
    for row in rows:
        style = "red" if row.failed else "yellow" if row.status != "ok" else "bold" if row.model in front else ""
        table.add_row("*" if row.model in front else "", *cells(row).values(), style=style)
    wide_console().print(table)
    say("* on the Pareto front of accuracy and latency\n" if front else "")
    for line in notes(record):
        say(line)


def print_comparison(comparison: Comparison) -> None:
    """One row per model and measure, and what else is not the same."""
    table = Table(title="second against first", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("model", "measure", "first", "second", "ratio", "p", ""):
        table.add_column(column, justify="left" if column in ("model", "measure", "") else "right")
    for change in comparison.changes:
        ratio = change.ratio
        shown = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]" if ratio else "-"
        verdict = "real" if change.real else "may be chance"
        cells_ = (f"{change.first:.4g}", f"{change.second:.4g}", shown, f"{change.p_value:.3f}", verdict)
        table.add_row(change.model, change.measure, *cells_, style="bold" if change.real else "")
    wide_console().print(table)
    say(
        "Medians of rounds, each round one observation; ratio of Hodges and Lehmann with the 95 % interval of each row "
        "alone; p of the exact rank-sum test, of accuracies of the exact test by group, adjusted by Holm for all rows."
    )
    for remark in comparison.remarks:
        say(f"- {remark}")

"""Readable table of a model under imaging shifts on stdout."""

from __future__ import annotations

from rich.table import Table

from allkit.cli.console import PlainConsole
from allkit.cli.tables import with_interval
from allkit.evaluation.shift_suite import ShiftRecord


def print_shifts(record: ShiftRecord, where: str) -> None:
    """One row per shift, the mean and the worst. where: the images, with their split, for the title."""
    console = PlainConsole()
    unshifted, *shifted = record.rows
    table = Table(title=f"under imaging shifts, {where}, n = {unshifted.n}")
    for column in ("shift", "accuracy", "drop", "p"):
        table.add_column(column, justify="left" if column == "shift" else "right")
    table.add_row(unshifted.name, with_interval(unshifted.accuracy, 2), "-", "-", end_section=True)
    for row in shifted:
        p_value = "< 0.0001" if row.p_value < 1e-4 else f"{row.p_value:.4f}"
        table.add_row(row.name, with_interval(row.accuracy, 2), f"{100 * row.drop:+.2f} points", p_value)
    console.print(table)
    console.print(
        f"mean over shifts {100 * record.mean_accuracy:.2f} %, "
        f"worst {100 * record.worst.accuracy.value:.2f} % ({record.worst.name})"
    )
    if record.failed:
        console.print(f"{len(record.failed)} image(s) left out of every row")

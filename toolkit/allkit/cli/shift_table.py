"""Readable table of a model under imaging shifts on stdout."""

from __future__ import annotations

from rich.table import Table

from allkit.cli.console import PlainConsole
from allkit.cli.tables import PLAIN
from allkit.evaluation.shift_suite import ShiftRecord
from allkit.evaluation.text import SHIFT_COLUMNS, shift_rows


def print_shifts(record: ShiftRecord, where: str) -> None:
    """One row per shift, the mean and the worst. where: the images, with their split, for the title."""
    console = PlainConsole()
    table = Table(title=f"under imaging shifts, {where}, n = {record.rows[0].n}", **PLAIN)
    for column in SHIFT_COLUMNS:
        table.add_column(column, justify="left" if column == "shift" else "right")
    unshifted, *shifted = shift_rows(record)
    table.add_row(*unshifted, end_section=True)
    for row in shifted:
        table.add_row(*row)
    console.print(table)
    console.print(
        f"mean over shifts {100 * record.mean_accuracy:.2f} %, "
        f"worst {100 * record.worst.accuracy.value:.2f} % ({record.worst.name})"
    )
    if record.failed:
        console.print(f"{len(record.failed)} image(s) left out of every row")

"""Known answers as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.table import Table
from rich.text import Text

from allkit.cli.console import wide_console
from allkit.runtime.kernels import Kernels
from allkit.runtime.known_answers import DISTANCE_TOLERANCE, HEATMAP_TOLERANCE, PROBABILITY_TOLERANCE, Differences


def print_check(path: Path, machine: str, found: Mapping[Kernels, Differences], used: Kernels | None) -> None:
    """One row a kind of kernels: how far it lies from the known answers, and which one is used."""
    console = wide_console()
    table = Table(title=Text(f"known answers of {path.name}"), caption=Text(f"on {machine}"))
    for column in ("kernels", "probability", "distance", "heat map", "verdict"):
        table.add_column(column, justify="left" if column in ("kernels", "verdict") else "right")
    limits = (PROBABILITY_TOLERANCE, DISTANCE_TOLERANCE, HEATMAP_TOLERANCE)
    table.add_row("allowed difference", *(f"{limit:g}" for limit in limits), "", style="dim")
    for kernels, one in found.items():
        figures = (one.probability, one.distance, one.heatmap)
        verdict = "wrong answers" if not one.tolerable else "right, used" if kernels is used else "right"
        table.add_row(kernels.value, *("-" if value is None else f"{value:.4f}" for value in figures), verdict)
    console.print(table)

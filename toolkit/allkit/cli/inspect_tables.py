"""A contract and a graph as tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from allkit.cli.console import wide_console
from allkit.cli.tables import PLAIN
from allkit.model.contract import Contract
from allkit.model.graph import Summary


def print_contract(contract: Contract) -> None:
    """One row per field; the int8 candidates and the known answers are left to the JSON form and the card."""
    table = Table(title="contract", show_header=False, **PLAIN)
    table.add_column()
    table.add_column(overflow="fold")
    for field in dataclasses.fields(contract):
        if field.name != "known_answers":
            table.add_row(field.name.replace("_", " "), _words(getattr(contract, field.name)))
    wide_console().print(table)


def print_graph(path: Path, summary: Summary) -> None:
    """Size, inputs, outputs and operators, then one row per layer."""
    console = wide_console()
    whole = Table(title="\ngraph", show_header=False, **PLAIN)
    whole.add_row("file", f"{path.name}, {path.stat().st_size / 2**20:.2f} MiB, opset {summary.opset}")
    for name, lines in (("input", summary.inputs), ("output", summary.outputs)):
        whole.add_row(name, "\n".join(lines))
    whole.add_row("operators", ", ".join(f"{name} {count}" for name, count in summary.operators.items()))
    whole.add_row("parameters", f"{summary.parameters:,}")
    whole.add_row("GMAC per image", f"{summary.macs / 1e9:.4f}")
    console.print(whole)

    layers = Table(title="\nlayers", **PLAIN)
    for column in ("layer", "operator", "output", "parameters", "MMAC", "share", "precision"):
        layers.add_column(column, justify="left" if column in ("layer", "operator", "precision") else "right")
    for layer in summary.layers:
        layers.add_row(
            layer.name,
            layer.operator,
            " x ".join(map(str, layer.shape)),
            f"{layer.parameters:,}",
            f"{layer.macs / 1e6:.2f}",
            f"{layer.macs / summary.macs:.1%}",
            layer.precision,
        )
    console.print(layers)


def _words(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return ", ".join(
            f"{name.replace('_', ' ')} {_words(one)}"
            for name, one in value.items()
            if name not in ("candidates", "methods")
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)

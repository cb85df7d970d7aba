"""What an export has made, line by line and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from allkit.cli.console import wide_console
from allkit.cli.terminal import say
from allkit.errors import AllkitError
from allkit.exporting.export import ExportedModel
from allkit.metrics import Interval
from allkit.metrics.text import with_interval
from allkit.model.contract import Contract
from allkit.model.graph import read_graph, summarise
from allkit.runs.run import Run

Row = tuple[Run, str, ExportedModel | AllkitError]


def print_failure(precision: str, error: AllkitError) -> None:
    """A precision that was not written, on stderr."""
    say(f"{precision}: {error}", err=True, label="failed:")


def print_file(exported: ExportedModel) -> None:
    """The figures of one file."""
    contract = exported.contract
    calibration, latency = contract.calibration, contract.latency
    say(f"\n{contract.precision}: {exported.path} ({exported.path.stat().st_size / 2**20:.2f} MiB)")
    if exported.replaced:
        say(f"replaced the earlier model {exported.path}", err=True)
    if gate := contract.gate:
        say(
            f"  against fp32: drop {gate['drop']:.2%} on {gate['n']} validation images (allowed {gate['max_drop']:.2%})"
            f", largest probability difference {gate['max_probability_difference']:.4f}, the same class on "
            f"{gate['agreement']:.1%}, Kullback-Leibler divergence {gate['kl_divergence']:.1e}"
        )
    if int8 := contract.quantisation:
        layers = ", ".join(int8["float_layers"]) or "only the logits"
        say(f"  int8: {int8['method']} on {int8['calibration_images']} training images; in float: {layers}")
    say(f"  latency: {latency['ms']:.2f} ms per image here, {latency['fp32_ms'] / latency['ms']:.2f}x as fast as fp32")
    say(
        f"  calibration: temperature {contract.temperature:.3f}, expected calibration error on the "
        f"{calibration['part']} part {calibration['ece_before']:.4f} before, {calibration['ece_after']:.4f} after "
        f"(n = {calibration['n']})"
    )
    say(
        f"  uncertainty: prediction sets of {contract.abstention['coverage']:.0%} coverage hold classes of probability "
        f"{contract.abstention['threshold']:.4f} and above; images at a distance above "
        f"{contract.familiarity['threshold']:.2f} are unfamiliar"
    )
    say(f"  model card: {exported.card}")


def print_exports(rows: Sequence[Row]) -> None:
    """One row per file, failed ones included."""
    table = Table(title="\nexported")
    for column in ("file", "px", "precision", "MiB", "parameters", "GMAC", "ms/image", "accuracy", "drop", "status"):
        table.add_column(
            column, justify="left" if column in ("file", "precision", "status") else "right", overflow="fold"
        )
    for run, precision, result in rows:
        size = str(run.settings.pixels.size_px)
        if isinstance(result, AllkitError):
            table.add_row(run.settings.name, size, precision, *["-"] * 6, "failed, see above", style="red")
        else:
            table.add_row(result.path.name, size, precision, *_figures(result))
    wide_console().print(table)


def _figures(exported: ExportedModel) -> list[str]:
    contract = exported.contract
    summary = summarise(read_graph(exported.path)[0])
    accuracy = Interval(*(contract.accuracy[name] for name in ("value", "low", "high")))
    return [
        f"{exported.path.stat().st_size / 2**20:.2f}",
        f"{summary.parameters:,}",
        f"{summary.macs / 1e9:.3f}",
        f"{exported.milliseconds:.2f}",
        with_interval(accuracy, 2),
        f"{contract.gate['drop']:.2%}" if contract.gate else "-",
        _status(contract),
    ]


def _status(contract: Contract) -> str:
    if contract.slower_than_fp32:
        return "slower than fp32 here" + (": for CUDA" if contract.precision == "fp16" else "")
    return "verified" if contract.gate is None else f"{contract.latency['fp32_ms'] / contract.latency['ms']:.2f}x fp32"

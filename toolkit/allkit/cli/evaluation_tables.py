"""Readable tables of evaluations and of their comparison on stdout."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from allkit.cli.console import PlainConsole, wide_console
from allkit.cli.tables import PLAIN, print_metrics
from allkit.evaluation.evaluate import Evaluation, Mistake
from allkit.evaluation.text import pair_rows, uncertainty_rows
from allkit.metrics import SIGNIFICANT, PairedComparison, least_difference

# Misclassified images that are listed; a page and the record list more.
_SHOWN = 10


def print_evaluation(evaluation: Evaluation) -> None:
    """The metrics beside the baseline, then how well the model's uncertainty estimates hold."""
    subject = evaluation.subject
    print_metrics(
        evaluation.metrics, f"{evaluation.model.name} on {subject.title}", subject.baseline, subject.baseline_method
    )
    table = Table(title="uncertainty estimates", show_header=False, **PLAIN)
    for row in uncertainty_rows(evaluation.uncertainty):
        table.add_row(*row)
    PlainConsole().print(table)
    _print_mistakes(evaluation.mistakes)


def _print_mistakes(mistakes: Sequence[Mistake]) -> None:
    if not mistakes:
        return
    shown = mistakes[:_SHOWN]
    rest = f", the {_SHOWN} most confident" if len(mistakes) > _SHOWN else ""
    table = Table(title=f"{len(mistakes)} misclassified image(s){rest}", **PLAIN)
    for column in ("label", "confidence", "truth", "path"):
        table.add_column(column, justify="right" if column == "confidence" else "left", overflow="fold")
    for mistake in shown:
        table.add_row(mistake.label, f"{100 * mistake.confidence:.1f} %", mistake.truth, mistake.path)
    wide_console().print(table)


def print_pairs(pairs: Sequence[tuple[Evaluation, Evaluation, PairedComparison]]) -> None:
    """One row per pair of models; nothing for one model."""
    if not pairs:
        return
    table = Table(title="pairs on the same images, exact McNemar test over groups", **PLAIN)
    for column in ("a", "b", "a - b", "only a right", "only b right", "p"):
        table.add_column(column, justify="left" if column in "ab" else "right")
    for row in pair_rows(pairs):
        table.add_row(*row)
    console = wide_console()
    console.print(table)
    _, _, pair = pairs[0]
    if any(pair.p_value >= SIGNIFICANT for *_, pair in pairs):
        least = least_difference(pair.n, pair.groups)
        size = f"below {100 * least:.2f} points" if least else "of any size"
        console.print(f"not significant does not mean equal: a difference {size} cannot reach p < {SIGNIFICANT} here")

"""Readable tables of evaluations and of their comparison on stdout."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from allkit.cli.console import PlainConsole
from allkit.cli.tables import print_metrics, with_interval
from allkit.evaluation.evaluate import Evaluation
from allkit.metrics import SIGNIFICANT, least_difference
from allkit.metrics.classification import PairedComparison


def print_evaluation(evaluation: Evaluation) -> None:
    """The metrics beside the baseline, then how the model's uncertainty estimates hold."""
    subject, doubt = evaluation.subject, evaluation.doubt
    print_metrics(
        evaluation.metrics, f"{evaluation.model.name} on {subject.title}", subject.baseline, subject.baseline_method
    )
    table = Table(title="uncertainty", show_header=False)
    table.add_row("expected calibration error", f"{doubt.calibration_error:.4f}")
    table.add_row(f"coverage ({doubt.promised_coverage:.0%} promised)", with_interval(doubt.coverage, 2))
    table.add_row("uncertain (set is not one class)", with_interval(doubt.uncertain, 2))
    table.add_row("accuracy on the rest", f"{with_interval(doubt.accuracy_of_certain, 2)}, n = {doubt.n_certain}")
    table.add_row("unfamiliar", with_interval(doubt.unfamiliar, 2))
    PlainConsole().print(table)


def print_pairs(pairs: Sequence[tuple[Evaluation, Evaluation, PairedComparison]]) -> None:
    """A row for each pair of models; nothing for one model."""
    if not pairs:
        return
    table = Table(title="pairs on the same images, exact McNemar test by group")
    for column in ("a", "b", "a - b", "only a right", "only b right", "p"):
        table.add_column(column, justify="left" if column in "ab" else "right")
    for a, b, pair in pairs:
        difference = f"{100 * pair.difference:+.2f} points"
        counts = (str(pair.only_a_right), str(pair.only_b_right))
        table.add_row(a.model.name, b.model.name, difference, *counts, f"{pair.p_value:.4f}")
    console = PlainConsole()
    console.print(table)
    _, _, pair = pairs[0]
    if any(pair.p_value >= SIGNIFICANT for *_, pair in pairs):
        least = least_difference(pair.n, pair.groups)
        reach = f"less than {100 * least:.2f} points" if least else "any size"
        console.print(f"not significant is not equal: a difference of {reach} could not have p < {SIGNIFICANT} here")

"""Readable tables of evaluations and of their comparison on stdout."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from allkit.cli.console import PlainConsole
from allkit.cli.tables import print_metrics, with_interval
from allkit.evaluation.evaluate import Evaluation
from allkit.metrics import SIGNIFICANT, PairedComparison, least_difference


def print_evaluation(evaluation: Evaluation) -> None:
    """The metrics beside the baseline, then how well the model's uncertainty estimates hold."""
    subject, uncertainty = evaluation.subject, evaluation.uncertainty
    print_metrics(
        evaluation.metrics, f"{evaluation.model.name} on {subject.title}", subject.baseline, subject.baseline_method
    )
    table = Table(title="uncertainty estimates", show_header=False)
    table.add_row("expected calibration error", f"{uncertainty.calibration_error:.4f}")
    table.add_row(f"coverage ({uncertainty.promised_coverage:.0%} promised)", with_interval(uncertainty.coverage, 2))
    table.add_row("uncertain (set is not one class)", with_interval(uncertainty.uncertain, 2))
    table.add_row(
        "accuracy of the certain images",
        f"{with_interval(uncertainty.accuracy_of_certain, 2)}, n = {uncertainty.n_certain}",
    )
    table.add_row("unfamiliar", with_interval(uncertainty.unfamiliar, 2))
    PlainConsole().print(table)


def print_pairs(pairs: Sequence[tuple[Evaluation, Evaluation, PairedComparison]]) -> None:
    """One row per pair of models; nothing for one model."""
    if not pairs:
        return
    table = Table(title="pairs on the same images, exact McNemar test over groups")
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
        size = f"below {100 * least:.2f} points" if least else "of any size"
        console.print(f"not significant does not mean equal: a difference {size} cannot reach p < {SIGNIFICANT} here")

"""Evaluations in words, as tables on a terminal and pages both show them."""

from __future__ import annotations

from collections.abc import Sequence

from allkit.evaluation.evaluate import Evaluation, UncertaintyFigures
from allkit.evaluation.shift_suite import ShiftRecord
from allkit.metrics import PairedComparison
from allkit.metrics.text import with_interval

SHIFT_COLUMNS = ("shift", "accuracy", "drop", "p")


def uncertainty_rows(found: UncertaintyFigures) -> list[tuple[str, str]]:
    """How well the uncertainty estimates of a model hold, each figure with its name."""
    certain = f"{with_interval(found.accuracy_of_certain, 2)}, n = {found.n_certain}"
    return [
        ("expected calibration error", f"{found.calibration_error:.4f}"),
        (f"coverage ({found.promised_coverage:.0%} promised)", with_interval(found.coverage, 2)),
        ("uncertain (set is not one class)", with_interval(found.uncertain, 2)),
        ("accuracy of the certain images", certain),
        ("unfamiliar", with_interval(found.unfamiliar, 2)),
    ]


def shift_rows(record: ShiftRecord) -> list[tuple[str, ...]]:
    """A row of `SHIFT_COLUMNS` for the images as they are, then one per shift."""
    unshifted, *shifted = record.rows
    rows = [(unshifted.name, with_interval(unshifted.accuracy, 2), "-", "-")]
    for row in shifted:
        p_value = "< 0.0001" if row.p_value < 1e-4 else f"{row.p_value:.4f}"
        rows.append((row.name, with_interval(row.accuracy, 2), f"{100 * row.drop:+.2f} points", p_value))
    return rows


def pair_rows(pairs: Sequence[tuple[Evaluation, Evaluation, PairedComparison]]) -> list[tuple[str, ...]]:
    """For each pair A and B: their names, the difference in accuracy, what only A and only B got right, and p."""
    return [
        (
            a.model.name,
            b.model.name,
            f"{100 * pair.difference:+.2f} points",
            str(pair.only_a_right),
            str(pair.only_b_right),
            f"{pair.p_value:.4f}",
        )
        for a, b, pair in pairs
    ]

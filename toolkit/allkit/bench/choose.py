"""One model for a budget, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from allkit.bench.accuracy import paired
from allkit.bench.record import Figures, Record, figures
from allkit.stats import SIGNIFICANT


@dataclass(frozen=True)
class Budget:
    """The most milliseconds from file to result (median), the most MiB, the least accuracy; None for no matter."""

    ms: float | None = None
    mib: float | None = None
    accuracy: float | None = None

    def excess(self, row: Figures) -> dict[str, float]:
        """By which share a row misses each limit that it does not keep."""
        found = {}
        if self.ms is not None and row.milliseconds > self.ms:
            found[f"{row.milliseconds:.2f} ms, {self.ms:g} allowed"] = row.milliseconds / self.ms - 1
        if self.mib is not None and row.mib > self.mib:
            found[f"{row.mib:.2f} MiB, {self.mib:g} allowed"] = row.mib / self.mib - 1
        if self.accuracy is not None and (row.accuracy is None or row.accuracy.value < self.accuracy):
            reached = row.accuracy.value if row.accuracy else 0.0
            words = f"accuracy {reached:.2%}" if row.accuracy else "no accuracy measured"
            # Of the errors, not of the accuracy: from 98 to 99 % half of them have to go.
            found[f"{words}, {self.accuracy:.2%} asked for"] = (1 - reached) / max(1 - self.accuracy, 1e-3) - 1
        return found


def recommend(record: Record, budget: Budget) -> tuple[str | None, str]:
    """The model and the reason; None and what comes nearest where nothing qualifies.

    Of those within the budget the fastest whose accuracy is not significantly below the best one's: on the same images
    by the exact McNemar test, on others only when it is not lower at all.
    """
    rows = [row for row in figures(record) if not row.failed and row.milliseconds is not None]
    if not rows:
        return None, "no model could be measured"
    fit = [row for row in rows if not budget.excess(row)]
    if not fit:
        nearest = min(rows, key=lambda row: sum(budget.excess(row).values()))
        return None, f"nothing qualifies; {nearest.model} comes nearest: {'; '.join(budget.excess(nearest))}"
    if not all(row.accuracy for row in fit):
        best = min(fit, key=lambda row: row.milliseconds)
        return best.model, f"the fastest within the budget, {best.milliseconds:.2f} ms; accuracy was not measured"
    best = max(fit, key=lambda row: (row.accuracy.value, -row.milliseconds))
    accuracies = {row["model"]: row.get("accuracy") for row in record["rows"]}
    level = [row for row in fit if _level(accuracies[row.model], accuracies[best.model], row, best)]
    chosen = min(level, key=lambda row: row.milliseconds)
    reason = f"{chosen.accuracy.percent(2)} at {chosen.milliseconds:.2f} ms and {chosen.mib:.2f} MiB"
    if chosen is best:
        return chosen.model, f"{reason}: the most accurate of the {len(fit)} within the budget"
    return chosen.model, (
        f"{reason}: of the {len(fit)} within the budget {best.model} is the most accurate, {best.accuracy.percent(2)}, "
        f"but the difference is not significant (McNemar, p > {SIGNIFICANT}), and this one is "
        f"{best.milliseconds / chosen.milliseconds:.1f} times as fast"
    )


def _level(a: Mapping[str, Any], b: Mapping[str, Any], row: Figures, best: Figures) -> bool:
    found = paired(a, b)
    return row.accuracy.value >= best.accuracy.value or (found is not None and found["p_value"] > SIGNIFICANT)

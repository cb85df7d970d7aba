"""Recommend one model for a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from allkit.benchmark.record.paired import shortfall
from allkit.benchmark.record.record import Figures, Record, figures
from allkit.metrics import NonInferiority

# The accuracy that may be lost for speed.
MARGIN = 0.01


@dataclass(frozen=True)
class Budget:
    """Maximum milliseconds from file to result (median), maximum MiB, minimum accuracy; None for no limit."""

    ms: float | None = None
    mib: float | None = None
    accuracy: float | None = None

    def excess(self, row: Figures) -> dict[str, float]:
        """The limits that a row does not meet, and the share by which it exceeds each."""
        found = {}
        if self.ms is not None and row.milliseconds > self.ms:
            found[f"{row.milliseconds:.2f} ms, {self.ms:g} allowed"] = row.milliseconds / self.ms - 1
        if self.mib is not None and row.mib > self.mib:
            found[f"{row.mib:.2f} MiB, {self.mib:g} allowed"] = row.mib / self.mib - 1
        if self.accuracy is not None and (row.accuracy is None or row.accuracy.value < self.accuracy):
            reached = row.accuracy.value if row.accuracy else 0.0
            words = f"accuracy {reached:.2%}" if row.accuracy else "no accuracy measured"
            # Relative to the error rate: going from 98 to 99 % removes half of the errors.
            found[f"{words}, {self.accuracy:.2%} required"] = (1 - reached) / max(1 - self.accuracy, 1e-3) - 1
        return found


class Recommendation(NamedTuple):
    """The model, or None, and the reason, which begins in lower case."""

    model: str | None
    reason: str

    @property
    def sentence(self) -> str:
        words = f"{self.model}: {self.reason}" if self.model else self.reason
        return f"Recommended: {words}." if self.model else f"{words[:1].upper()}{words[1:]}."


def recommend(record: Record, budget: Budget, margin: float = MARGIN) -> Recommendation:
    """One model for a budget; none, and what comes nearest, where nothing qualifies.

    Among the models within the budget, the fastest that `non_inferiority` shows to lose less than `margin` (a share) of
    accuracy against the most accurate one on the same images. If the images cannot show that for a faster model, the
    reason names the one closest to it and how many images would suffice.
    """
    rows = [row for row in figures(record) if not row.failed and row.milliseconds is not None]
    if not rows:
        return Recommendation(None, "no model could be measured")
    fit = [row for row in rows if not budget.excess(row)]
    if not fit:
        nearest = min(rows, key=lambda row: sum(budget.excess(row).values()))
        told = "; ".join(budget.excess(nearest))
        return Recommendation(None, f"no model fits the budget; {nearest.model} is closest: {told}")
    if not all(row.accuracy for row in fit):
        best = min(fit, key=lambda row: row.milliseconds)
        return Recommendation(best.model, f"the fastest, {best.milliseconds:.2f} ms; accuracy was not measured")
    best = max(fit, key=lambda row: (row.accuracy.value, -row.milliseconds))
    accuracies = {row["model"]: row.get("accuracy") for row in record["rows"]}
    faster = sorted((row for row in fit if row.milliseconds < best.milliseconds), key=lambda row: row.milliseconds)
    tests = {row.model: shortfall(accuracies[best.model], accuracies[row.model], margin) for row in faster}
    chosen = next((row for row in faster if tests[row.model] and tests[row.model].shown), best)
    among = "measured" if budget == Budget() else "within the budget"
    reason = f"{chosen.accuracy.percent(2)} at {chosen.milliseconds:.2f} ms and {chosen.mib:.2f} MiB: "
    if chosen is best:
        reason += f"the most accurate of the {len(fit)} {among}"
    else:
        reason += (
            f"of the {len(fit)} {among} {best.model} is the most accurate, {best.accuracy.percent(2)}; this "
            f"one is shown to lose less than {_points(margin)} (one-sided p = {tests[chosen.model].p_value:.3f}), and "
            f"is {best.milliseconds / chosen.milliseconds:.1f} times as fast"
        )
    if passed := [row for row in faster if row.milliseconds < chosen.milliseconds]:
        nearest = min(passed, key=lambda row: _needed(tests[row.model]))
        reason += f". {nearest.model}, {nearest.milliseconds:.2f} ms, {_not_shown(tests[nearest.model], margin)}"
    return Recommendation(chosen.model, reason)


def _needed(test: NonInferiority | None) -> float:
    """How many images would show it; infinite if no number would."""
    return math.inf if test is None or test.needed is None else test.needed


def _not_shown(test: NonInferiority | None, margin: float) -> str:
    if test is None:
        return f"was measured on different images, which cannot show that it loses less than {_points(margin)}"
    if test.needed is None:
        lost = f"loses {_points(test.loss)} on these {test.n} images"
        return f"{lost}: more images would not show that it loses less than {_points(margin)}"
    return (
        f"is not shown to lose less than {_points(margin)} on these {test.n} images (one-sided p = "
        f"{test.p_value:.2f}): about {test.needed:,} similar images would suffice"
    )


def _points(share: float) -> str:
    number = f"{100 * share:.2f}".rstrip("0").rstrip(".")
    return f"{number} point{'' if number == '1' else 's'}"

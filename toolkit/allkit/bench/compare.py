"""Two records of benchmarks: which differences are real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from allkit.bench.machine import differences
from allkit.bench.record import Record
from allkit.bench.series import medians
from allkit.errors import AllkitError

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Change:
    """A measure of one model in two records: the medians, how many times the second is the first, and the p value.

    Rounds are what is compared, not queries: queries of one round share what the machine did meanwhile, and thousands
    of them would call every breeze significant.
    """

    model: str
    measure: str
    first: float
    second: float
    p_value: float

    @property
    def ratio(self) -> float:
        return self.second / self.first

    @property
    def real(self) -> bool:
        """Whether chance alone would hardly have made it."""
        return self.p_value < _SIGNIFICANT


def compare(first: Record, second: Record, across_machines: bool = False) -> list[Change]:
    """Every measure that both records have. Raises AllkitError for different machines, unless told to go on, and when
    there is nothing in common."""
    if not across_machines and (found := differences(first["machine"], second["machine"])):
        raise AllkitError(
            f"the records are of different machines ({'; '.join(found)}): the difference would be theirs; "
            "--across-machines compares them all the same"
        )
    others = {row["model"]: row for row in second["rows"] if "error" not in row}
    changes = []
    for row in first["rows"]:
        if "error" in row or row["model"] not in others:
            continue
        other = _series(others[row["model"]])
        for measure, rounds in _series(row).items():
            if measure in other:
                a, b = medians(rounds), medians(other[measure])
                p_value = permutation_test(a, b)
                changes.append(Change(row["model"], measure, float(np.median(a)), float(np.median(b)), p_value))
    if not changes:
        raise AllkitError("the records have no measured model in common")
    return changes


def permutation_test(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p value for a difference of means: the share of all ways of dealing out the rounds that differ as much.

    Exact (Fisher 1935, The Design of Experiments, section 21); 5 rounds against 5 can be dealt out in 252 ways.
    """
    values = np.concatenate([a, b]).astype(float)
    total, n = values.sum(), len(a)
    observed = abs(np.mean(a) - np.mean(b))
    means = np.array([values[list(rows)].sum() for rows in combinations(range(len(values)), n)])
    found = np.abs(means / n - (total - means) / (len(values) - n))
    return float((found >= observed * (1 - 1e-12)).mean())


def _series(row: dict) -> dict[str, list]:
    single = {"model ms": row["single"]["model_ms"], "file to result ms": row["single"]["end_to_end_ms"]}
    offline = {f"images/s at batch {batch}": rounds for batch, rounds in row["offline"].items()}
    return {name: rounds for name, rounds in {**single, **offline}.items() if rounds}

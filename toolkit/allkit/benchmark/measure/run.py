"""A benchmark from files to a record, in three phases: validate, warm up, measure.

All models take turns in every round, so that what else the machine does meets them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from allkit.benchmark.measure.accuracy import AccuracyMeasurement
from allkit.benchmark.measure.entry import Entry
from allkit.benchmark.measure.machine import facts
from allkit.benchmark.measure.peak import Peak
from allkit.benchmark.measure.probe import probe
from allkit.benchmark.record.paired import paired_accuracies
from allkit.benchmark.record.record import SCHEMA_VERSION
from allkit.errors import AllkitError
from allkit.support.text import visible

_WARM_UP_SECONDS = 0.5
_PROBED = 64

# A phase, the model or None, and how much of the whole is done.
Say = Callable[[str, str, float], None]


@dataclass(frozen=True)
class Settings:
    """How to measure. batches: of the offline scenario, none for that of the model's plan, 1 and 32. seconds and
    queries: the least of each scenario of a model, both; they are spread over the rounds."""

    device: str = "auto"
    batches: tuple[int, ...] = ()
    seconds: float = 5.0
    queries: int = 662
    rounds: int = 7


def run(
    models: Sequence[Path],
    files: Sequence[Path],
    data: dict[str, Any],
    settings: Settings,
    accuracy: AccuracyMeasurement | None = None,
    say: Say = lambda phase, model, done: None,
) -> dict[str, Any]:
    """Measure every model; one that fails has its error in its row, and the others continue.

    files: the images of the queries. data: what they are, for the record. accuracy: measures it, None for none.
    """
    if len({path.name for path in models}) < len(models):
        raise AllkitError("two models have the same file name, which is what rows are told apart by: rename one")
    # The classes of a dataset come one after the other; queries shall not.
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    machine = facts()
    peak = Peak()
    peak.measure()
    rows: list[dict[str, Any]] = []
    entries: list[Entry] = []
    for i, path in enumerate(models):
        say("validate", path.name, i / len(models))
        entry = None
        try:
            entry = Entry(path, settings.device, settings.batches, files)
            entry.validate()
            entry.row |= probe(path, settings.device, files[:_PROBED])
        except AllkitError as error:
            rows.append({"model": visible(path.name), **(entry.row if entry else {}), "error": str(error)})
            continue
        rows.append(entry.row)
        entries.append(entry)
        if accuracy:
            try:
                entry.row["accuracy"] = accuracy.evaluate(entry.many)
            except AllkitError as error:
                # What it costs can be measured all the same.
                entry.row["accuracy_error"] = str(error)
    for i, entry in enumerate(entries):
        say("warm up", entry.row["model"], i / len(entries))
        _guarded(entry, partial(entry.warm_up, _WARM_UP_SECONDS))
    seconds, queries = settings.seconds / settings.rounds, -(-settings.queries // settings.rounds)
    for round_ in range(settings.rounds if entries else 0):
        peak.measure()
        # Another order every round: what runs before a model must not always be the same.
        for i, entry in enumerate(entries[round_ % len(entries) :] + entries[: round_ % len(entries)]):
            say("measure", entry.row["model"], (round_ + i / len(entries)) / settings.rounds)
            if "error" not in entry.row:
                turn = partial(entry.measure, round_, seconds, queries)
                _guarded(entry, turn)
    for row in rows:
        row["against_parent"] = _against_parent(row, rows)
    return {
        "schema_version": SCHEMA_VERSION,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {**asdict(settings), "batches": list(settings.batches)},
        "machine": {**machine, "peak_gops": {name: round(value, 1) for name, value in peak.gops.items()}},
        "data": {**data, "files": len(files)},
        "rows": rows,
    }


def _guarded(entry: Entry, work: Callable[[], None]) -> None:
    try:
        work()
    except AllkitError as error:
        entry.row["error"] = str(error)


def _against_parent(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The accuracy against the float32 file of the same run, None where there is none or none was measured."""
    if not row.get("accuracy") or row["precision"] == "fp32":
        return None
    same = ("size_px", "width", "origin")
    for other in rows:
        if other.get("accuracy") and other["precision"] == "fp32" and all(row[key] == other[key] for key in same):
            found = paired_accuracies(row["accuracy"], other["accuracy"])
            return found and {"parent": other["model"], "difference": found.difference, "p_value": found.p_value}
    return None

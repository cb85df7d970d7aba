"""A benchmark from files to a record, in three phases: validate, warm up, measure.

All models take turns in every round, so that other load on the machine affects them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from allkit.benchmark.options import BenchOptions
from allkit.benchmark.record.paired import paired_accuracies
from allkit.benchmark.record.record import SCHEMA_VERSION
from allkit.errors import AllkitError
from allkit.support.text import visible

_WARM_UP_SECONDS = 0.5
_PROBED = 64

# The options that a record holds under the name of settings.
_RECORDED = ("device", "batches", "seconds", "queries", "rounds")

# Reports a phase, the model or None, and the share of the work that is done.
Say = Callable[[str, str, float], None]


def run(
    models: Sequence[Path],
    files: Sequence[Path],
    data: dict[str, Any],
    options: BenchOptions,
    accuracy: AccuracyMeasurement | None = None,
    say: Say = lambda phase, model, done: None,
) -> dict[str, Any]:
    """Measure every model. A model that fails has an error in its row; the others continue.

    files: the query images. data: their description, for the record. options: its models and data are those given
    here. accuracy: None to skip it.
    """
    if len({path.name for path in models}) < len(models):
        raise AllkitError("two models have the same file name, which identifies a row: rename one")
    # A dataset is ordered by class; queries should not be.
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    machine = facts()
    peak = Peak()
    peak.measure()
    rows, entries = _validated(models, files, options, accuracy, say)
    for i, entry in enumerate(entries):
        say("warm up", entry.row["model"], i / len(entries))
        _guarded(entry, partial(entry.warm_up, _WARM_UP_SECONDS))
    seconds, queries = options.seconds / options.rounds, -(-options.queries // options.rounds)
    for round_ in range(options.rounds if entries else 0):
        peak.measure()
        # Another order every round: what runs before a model must not always be the same.
        for i, entry in enumerate(entries[round_ % len(entries) :] + entries[: round_ % len(entries)]):
            say("measure", entry.row["model"], (round_ + i / len(entries)) / options.rounds)
            if "error" not in entry.row:
                turn = partial(entry.measure, round_, seconds, queries)
                _guarded(entry, turn)
    for row in rows:
        row["against_parent"] = _against_parent(row, rows)
    return {
        "schema_version": SCHEMA_VERSION,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {name: getattr(options, name) for name in _RECORDED} | {"batches": list(options.batches)},
        "machine": {**machine, "peak_gops": {name: round(value, 1) for name, value in peak.gops.items()}},
        "data": {**data, "files": len(files)},
        "rows": rows,
    }


def _validated(
    models: Sequence[Path], files: Sequence[Path], options: BenchOptions, accuracy: AccuracyMeasurement | None, say: Say
) -> tuple[list[dict[str, Any]], list[Entry]]:
    """The row of every model, and the entries of those that can be measured."""
    rows: list[dict[str, Any]] = []
    entries: list[Entry] = []
    for i, path in enumerate(models):
        say("validate", path.name, i / len(models))
        entry = None
        try:
            entry = Entry(path, options.device, options.batches, files)
            entry.validate()
            entry.row |= probe(path, options.device, files[:_PROBED])
        except AllkitError as error:
            rows.append({"model": visible(path.name), **(entry.row if entry else {}), "error": str(error)})
            continue
        rows.append(entry.row)
        entries.append(entry)
        if accuracy:
            try:
                entry.row["accuracy"] = accuracy.evaluate(entry.many)
            except AllkitError as error:
                # Its speed can still be measured.
                entry.row["accuracy_error"] = str(error)
    return rows, entries


def _guarded(entry: Entry, work: Callable[[], None]) -> None:
    try:
        work()
    except AllkitError as error:
        entry.row["error"] = str(error)


def _against_parent(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The accuracy compared with the float32 file of the same run; None without one, or without an accuracy."""
    if not row.get("accuracy") or row["precision"] == "fp32":
        return None
    same = ("size_px", "width", "origin")
    for other in rows:
        if other.get("accuracy") and other["precision"] == "fp32" and all(row[key] == other[key] for key in same):
            found = paired_accuracies(row["accuracy"], other["accuracy"])
            return found and {"parent": other["model"], "difference": found.difference, "p_value": found.p_value}
    return None

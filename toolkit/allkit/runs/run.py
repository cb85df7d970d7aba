"""A run folder: everything that one training leaves behind.

run.json          settings: architecture, size, width, seed, recipe, classes, where the images were
split.json        the split, with content hashes
checkpoint.npz    variables and history after the last finished epoch; gone when the run is finished
history.csv       one row per epoch, with the running statistics of batch normalisation
model.keras       the trained network; its statistics of batch normalisation are taken anew after the last epoch
predictions.csv   path, label and probabilities of the test part
metrics.json      the record; its presence marks a finished run
curves.png        Figure 2 of the paper
confusion.png     Figure 3 of the paper
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from allkit.data.split import Split, class_of
from allkit.errors import AllkitError, reason
from allkit.runs.history import Epoch, check_consecutive
from allkit.runs.recipe import Recipe
from allkit.runs.record import TrainingRecord
from allkit.runs.settings import Settings
from allkit.support.csvtext import read_rows, write_rows
from allkit.support.files import remove_abandoned, write_json, write_text
from allkit.support.names import check_class_names
from allkit.support.reading import Share, as_kind, as_plain, read_json
from allkit.support.text import unprintable

_DAMAGED = "train again"
# Of probabilities that were written with six digits.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Run:
    """A run folder that exists. Create one with `create`, read one with `open`."""

    folder: Path
    settings: Settings
    split: Split

    @classmethod
    def create(cls, folder: Path, settings: Settings, split: Split) -> Run:
        """A new run. Raises AllkitError when the folder holds anything but a run that never finished an epoch, or when
        the split would test the network on what it has seen in the run that its weights come from, or in one before."""
        if not _no_epoch_in(folder):
            raise AllkitError(f"{folder} is not empty: give another --out, or --resume to continue the run in it")
        _refuse_seen(split, settings.recipe)
        check_class_names(settings.classes)
        if unprintable(settings.data):
            raise AllkitError(
                f"the folder of the images {settings.data!r} has a name that a record cannot hold: rename it"
            )
        split.save(folder / "split.json")
        write_json(folder / "run.json", settings.to_dict())
        return cls(folder, settings, split)

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """The run in a folder; AllkitError where there is none, or its settings or split are damaged."""
        folder = Path(folder)
        path = folder / "run.json"
        if not path.is_file():
            if folds := fold_folders(folder):
                told = ", ".join(fold.name for fold in folds)
                raise AllkitError(f"{folder} is a cross-validation: name one of its runs, {folds[0]} ({told})")
            raise AllkitError(f"{folder} is not a run folder: it has no run.json")
        try:
            record = read_json(path, dict[str, Any], "train again")
            settings = Settings.from_dict(record)
        except AllkitError as error:
            raise AllkitError(f"{path} is damaged: {error}") from error
        if record["recipe"].get("teacher"):
            raise AllkitError(f"{folder} was trained with teachers, which this version does not know: train again")
        return cls(folder, settings, Split.load(folder / "split.json"))

    def discard_if_empty(self) -> None:
        """Delete the run unless an epoch of it is finished: there is nothing to resume."""
        if _no_epoch_in(self.folder):
            shutil.rmtree(self.folder)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.npz"

    @property
    def model_path(self) -> Path:
        return self.folder / "model.keras"

    @property
    def finished(self) -> bool:
        return (self.folder / "metrics.json").is_file()

    def require_finished(self) -> None:
        """AllkitError with the command that resumes it, unless the run is finished."""
        if not self.finished:
            raise AllkitError(f"{self.folder} is not finished: allkit train --out {self.folder} --resume")

    def metrics(self) -> dict[str, Any]:
        """The record of a finished run, as plain types; AllkitError where it is missing or damaged."""
        return as_plain(read_json(self.folder / "metrics.json", TrainingRecord, _DAMAGED))

    def write_metrics(self, record: Mapping[str, Any]) -> None:
        write_json(self.folder / "metrics.json", record)

    def write_history(self, rows: Sequence[Any]) -> None:
        """`rows` are dataclasses of numbers, one an epoch."""
        names = [field.name for field in fields(rows[0])]
        figures = ([f"{value:.6g}" for value in asdict(row).values()] for row in rows)
        self._write_csv("history.csv", [names, *figures])

    def read_history(self) -> list[dict[str, float]]:
        """One dictionary of figures an epoch, as `Epoch` names them; AllkitError where the file is damaged."""
        path = self.folder / "history.csv"
        header, *rows = read_rows(path, _DAMAGED)
        if not rows:
            raise AllkitError(f"{path} has no epochs: {_DAMAGED}")
        history = as_kind(
            [dict(zip(header, row, strict=True)) for row in rows], list[Epoch], path, _DAMAGED, texts=True
        )
        try:
            check_consecutive(history)
        except ValueError as error:
            raise AllkitError(f"{path} is incomplete, {error}: {_DAMAGED}") from error
        return [asdict(epoch) for epoch in history]

    def write_predictions(self, paths: Sequence[str], labels: np.ndarray, probabilities: np.ndarray) -> None:
        classes = self.settings.classes
        rows = (
            [path, classes[label], *(f"{p:.6f}" for p in row)]
            for path, label, row in zip(paths, labels, probabilities, strict=True)
        )
        self._write_csv("predictions.csv", [["path", "truth", *classes], *rows])

    def read_predictions(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Paths, labels int64 (n,) and probabilities float64 (n, classes) of the test part.

        Raises AllkitError where the file is missing or damaged, or is that of another split.
        """
        path, classes = self.folder / "predictions.csv", self.settings.classes
        header, *rows = read_rows(path, _DAMAGED)
        if header != ["path", "truth", *classes]:
            raise AllkitError(f"{path} has other columns than path, truth and the classes of the run: {_DAMAGED}")
        paths = [row[0] for row in rows]
        if tuple(paths) != self.split.parts["test"] or any(row[1] != class_of(row[0]) for row in rows):
            raise AllkitError(
                f"{path} does not hold the images of the test part of the run with their classes: {_DAMAGED}"
            )
        shares = as_kind([row[2:] for row in rows], list[list[Share]], path, _DAMAGED, texts=True)
        probabilities = np.array(shares, np.float64)
        if np.abs(probabilities.sum(1) - 1).max() > _ROUNDING:
            raise AllkitError(f"{path} has probabilities that do not add up to 1: {_DAMAGED}")
        return paths, np.array([classes.index(row[1]) for row in rows]), probabilities

    def _write_csv(self, name: str, rows: Iterable[Sequence[str]]) -> None:
        text = io.StringIO()
        write_rows(text, rows)
        write_text(self.folder / name, text.getvalue())


def fold_folder(folder: Path, fold: int) -> Path:
    """The run folder of a fold, numbered from 0, in that of the cross-validation."""
    return folder / f"fold-{fold + 1}"


def fold_folders(folder: Path) -> list[Path]:
    """The runs in the folder of a cross-validation, by name; none where it is something else."""
    return sorted(path.parent for path in folder.glob("fold-*/run.json"))


def _no_epoch_in(folder: Path) -> bool:
    """Whether a folder holds nothing but what a run begins with."""
    return all(name in ("run.json", "split.json") for name in _entries(folder))


def begun(folder: Path) -> bool:
    """Whether there is a run to resume, or anything else; not where its making ended before it had settings."""
    return any(name != "split.json" for name in _entries(folder))


def _entries(folder: Path) -> list[str]:
    """The names in a folder, none where it does not exist, without what a process that was killed left half written."""
    if not folder.exists():
        return []
    try:
        remove_abandoned(folder)
        return [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise AllkitError(f"cannot read the folder {folder}: {reason(error)}; give another --out") from error


def earlier_run(recipe: Recipe) -> Run | None:
    """The run that the recipe takes its weights from, if it does."""
    named = recipe.weights not in ("random", "imagenet") and Path(recipe.weights).is_dir()
    return Run.open(recipe.weights) if named else None


def _refuse_seen(split: Split, recipe: Recipe) -> None:
    tested = {split.hashes[path] for part in ("validation", "test") for path in split.parts[part]}
    earlier, walked = earlier_run(recipe), set()
    while earlier and earlier.folder.resolve() not in walked:
        walked.add(earlier.folder.resolve())
        if tested & {earlier.split.hashes[path] for path in earlier.split.parts["train"]}:
            raise AllkitError(
                f"{earlier.folder} was trained on images that this split would test it with: give --split "
                f"{earlier.folder / 'split.json'}, or images that it has not seen"
            )
        recipe = earlier.settings.recipe
        named = Path(recipe.weights)
        if named.is_absolute() and not named.exists() and named.suffix not in (".h5", ".keras"):
            raise AllkitError(
                f"{earlier.folder} learned from {named}, which is gone, so it is unknown whether the test images "
                "were trained on: restore it, or train from scratch"
            )
        earlier = earlier_run(recipe)

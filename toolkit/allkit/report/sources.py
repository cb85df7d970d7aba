"""What a report is made from: run folders, exported models, and the records that commands have written."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allkit.bench.record import Figures, figures
from allkit.contract import Contract
from allkit.errors import AllkitError
from allkit.graph import read_graph


@dataclass(frozen=True)
class Training:
    """A finished run, or the folds of a cross-validation as one.

    label: what it is called, the name of its folder or file. record: its metrics.json. history: one dictionary of
    figures an epoch, empty for a cross-validation and for a record alone. right: whether each test image was labelled
    rightly, by path, empty where that is not known.
    """

    label: str
    record: Mapping[str, Any]
    history: Sequence[Mapping[str, float]] = ()
    right: Mapping[str, bool] = field(default_factory=dict)

    @property
    def size_px(self) -> int:
        return self.record["settings"]["pixels"]["size_px"]

    @property
    def width(self) -> float:
        return self.record["settings"]["width"]

    @property
    def name(self) -> str:
        """Label, width and size, as in `slim (x0.25, 150 px)`."""
        return f"{self.label} (x{self.width:g}, {self.size_px} px)"

    @property
    def protocol(self) -> str:
        """How the test images were chosen, as in `grouped, 5 folds`."""
        folds = f", {len(self.record['folds'])} folds" if "folds" in self.record else ""
        return f"{self.record['split']['protocol']}{folds}"


@dataclass(frozen=True)
class Exported:
    """An exported model. mib: its size. evaluation: the record of `allkit evaluate --shift --json`, speed: its row of
    `allkit bench --json`, None where none was given."""

    name: str
    contract: Contract
    mib: float
    evaluation: Mapping[str, Any] | None
    speed: Figures | None


@dataclass(frozen=True)
class Sources:
    """Everything a report shows, in the order in which it was named; the largest networks first."""

    trainings: list[Training]
    models: list[Exported]


def gather(paths: Sequence[Path]) -> Sources:
    """Read run folders, folders of models, ONNX files, and JSON records of train, evaluate and bench.

    Raises AllkitError for what is none of these.
    """
    trainings: list[Training] = []
    files: list[Path] = []
    evaluations: dict[str, Mapping[str, Any]] = {}
    speeds: dict[str, Figures] = {}
    for path in paths:
        if path.is_dir() and (path / "metrics.json").is_file():
            trainings.append(_training(path))
        elif path.is_dir() and (found := sorted(path.glob("*.onnx"))):
            files += found
        elif path.suffix == ".onnx":
            files.append(path)
        else:
            record = _json(path)
            if "training_seconds" in record:
                trainings.append(Training(path.stem, record))
            elif "rows" in record and "machine" in record:
                speeds |= {row.model: row for row in figures(record)}
            elif "model" in record and "metrics" in record:
                evaluations[record["model"]] = record
            else:
                raise _unknown(path)
    trainings.sort(key=lambda training: (-training.width, -training.size_px))
    models = []
    for path in files:
        contract = read_graph(path)[1]
        mib = path.stat().st_size / 2**20
        models.append(Exported(path.name, contract, mib, evaluations.get(path.name), speeds.get(path.name)))
    if not trainings and not models:
        raise AllkitError("a report of nothing: give run folders, models, or the records of train")
    return Sources(trainings, models)


def _training(folder: Path) -> Training:
    record = _json(folder / "metrics.json")
    history, right = [], {}
    if (folder / "history.csv").is_file():
        history = [{name: float(value) for name, value in row.items()} for row in _rows(folder / "history.csv")]
    if (folder / "predictions.csv").is_file():
        classes = record["settings"]["classes"]
        for row in _rows(folder / "predictions.csv"):
            right[row["path"]] = row["truth"] == max(classes, key=lambda name: float(row[name]))
    return Training(folder.resolve().name, record, history, right)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _json(path: Path) -> Mapping[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AllkitError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise _unknown(path) from error
    if not isinstance(record, dict):
        raise _unknown(path)
    return record


def _unknown(path: Path) -> AllkitError:
    return AllkitError(
        f"{path} is nothing to report on: give a finished run folder, an ONNX file, a folder of them, "
        "or a JSON record of allkit train, evaluate or bench"
    )

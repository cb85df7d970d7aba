"""What a report is made from: run folders, exported models, and the records that commands have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msgspec import UNSET, Raw

from allkit.benchmark.record.record import Figures, Record, figures, load
from allkit.errors import AllkitError
from allkit.evaluation.record import EvaluationRecord, EvaluationsRecord
from allkit.model.contract import Contract
from allkit.model.file import read_model
from allkit.model.trained_on import TrainedOn
from allkit.report.comparison import ComparisonRecord
from allkit.runs.record import TrainingRecord
from allkit.runs.run import Run, fold_folders
from allkit.support.files import content_hash, listing
from allkit.support.reading import as_plain, read_json

_KNOWN = (
    "give a finished run folder, an ONNX file, a folder of them, or a JSON record of allkit train, evaluate or bench "
    "or of benchmarks/comparators.py"
)
# What tells metrics.json of a run.
_OF_TRAINING = {"training_seconds", "settings", "metrics", "baseline", "split", "device"}


@dataclass(frozen=True)
class Training:
    """A finished run, or the folds of a cross-validation as one.

    label: what it is called, the name of its folder or file. record: its metrics.json. history: one dictionary of
    figures an epoch, empty for a cross-validation and for a record alone. right: whether each test image was labelled
    rightly, by path, empty where that is not known. groups: by path, which of those images belong together.
    """

    label: str
    record: Mapping[str, Any]
    history: Sequence[Mapping[str, float]] = ()
    right: Mapping[str, bool] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)

    @property
    def size_px(self) -> int:
        return self.record["settings"]["pixels"]["size_px"]

    @property
    def width(self) -> float:
        return self.record["settings"]["width"]

    @property
    def network(self) -> str:
        """Architecture and width, as in `vgg16 x0.25`."""
        return f"{self.record['settings']['architecture']} x{self.width:g}"

    @property
    def name(self) -> str:
        """Label, network and size, as in `slim (vgg16 x0.25, 150 px)`."""
        return f"{self.label} ({self.network}, {self.size_px} px)"

    @property
    def protocol(self) -> str:
        """How the test images were chosen, as in `grouped, 5 folds`."""
        folds = f", {len(self.record['folds'])} folds" if "folds" in self.record else ""
        return f"{self.record['split']['protocol']}{folds}"


@dataclass(frozen=True)
class Exported:
    """An exported model and what was measured of it, None where no record was given.

    sha256: of the file, by which records are told to be of it. mib: its size. evaluation: the record of
    `allkit evaluate --shift --json` on images that it was not trained on. speed: its row of `allkit bench --json`.
    machine: what that was measured on. passed_over: why evaluations are not shown, a few words each.
    """

    name: str
    sha256: str
    contract: Contract
    mib: float
    evaluation: Mapping[str, Any] | None = None
    speed: Figures | None = None
    machine: str | None = None
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sources:
    """Everything a report shows: trainings, the largest networks first, and models in the order of their naming.

    measured: where no models are given, the rows of benchmarks, each with the machine it was measured on. comparisons:
    of methods, by `benchmarks/comparators.py`.
    """

    trainings: list[Training]
    models: list[Exported]
    measured: list[tuple[Figures, str]] = field(default_factory=list)
    comparisons: list[ComparisonRecord] = field(default_factory=list)


def gather(paths: Sequence[Path]) -> Sources:
    """Read run folders, folders of models, ONNX files, and JSON records of train, evaluate, bench and comparisons.

    Evaluations and speeds are those of a file by its content. An evaluation on images that the model was trained on is
    passed over. Raises AllkitError for what is none of these, and for an evaluation of none of the models, or of two on
    different images.
    """
    trainings: list[Training] = []
    files: list[Path] = []
    evaluations: list[tuple[Path, EvaluationRecord]] = []
    speeds: dict[str, tuple[Figures, str]] = {}
    comparisons: list[ComparisonRecord] = []
    for path in paths:
        if (path / "metrics.json").is_file():
            trainings.append(_training(path))
        elif path.is_dir():
            found = [file for file in listing(path) if file.suffix == ".onnx"]
            if not found:
                raise _unknown(path)
            files += found
        elif path.suffix == ".onnx":
            files.append(path)
        else:
            fields = read_json(path, dict[str, Raw], _KNOWN).keys()
            if fields >= _OF_TRAINING:
                record = _record(path)
                label = path.parent.name if path.stem == "metrics" else path.stem
                trainings.append(Training(label, record, (), *_predictions(record)))
            elif "pairs" in fields and "methods" in fields:
                comparisons.append(read_json(path, ComparisonRecord, _KNOWN))
            elif "machine" in fields:
                speeds |= _speeds(load(path))
            elif "seen_in_training" in fields:
                evaluations.append((path, read_json(path, EvaluationRecord, _KNOWN)))
            elif "evaluations" in fields:
                evaluations += ((path, one) for one in read_json(path, EvaluationsRecord, _KNOWN).evaluations)
            else:
                raise _unknown(path)
    trainings.sort(key=lambda training: (-training.width, -training.size_px))
    models = _with_evaluations([_exported(path, speeds) for path in files], evaluations)
    # Where models are given, a benchmark is there for their speed.
    measured = [] if models else list(speeds.values())
    if not trainings and not models and not measured and not comparisons:
        raise AllkitError("nothing to report: give run folders, models, or the records of train, bench and comparisons")
    return Sources(trainings, models, measured, comparisons)


def _training(folder: Path) -> Training:
    record, name = _record(folder / "metrics.json"), folder.resolve().name
    if (folder / "run.json").is_file():
        run = Run.open(folder)
        return Training(name, record, run.read_history(), _right(run), run.split.groups)
    # A cross-validation: its folds have folders of their own, and each image is in the test part of one.
    folds = [Run.open(fold) for fold in fold_folders(folder)]
    right = {path: right for fold in folds for path, right in _right(fold).items()}
    # Groups are numbered alike in all folds: they are dealt out from one list.
    return Training(name, record, (), right, folds[0].split.groups if folds else {})


def _predictions(record: Mapping[str, Any]) -> tuple[dict[str, bool], dict[str, int]]:
    """What a record says of each test image: whether it was labelled correctly, and its group."""
    if (found := record.get("predictions")) is None:
        return {}, {}
    right = (truth == predicted for truth, predicted in zip(found["truth"], found["predicted"], strict=True))
    return dict(zip(found["path"], right, strict=True)), dict(zip(found["path"], found["group"], strict=True))


def _right(run: Run) -> dict[str, bool]:
    paths, labels, probabilities = run.read_predictions()
    return dict(zip(paths, (probabilities.argmax(1) == labels).tolist(), strict=True))


def _speeds(record: Record) -> dict[str, tuple[Figures, str]]:
    """Figures and machine by content of the model, of the rows that did not fail."""
    machine = record["machine"]
    told = f"{machine['gpu'] or machine['processor']}, {machine['cores']} cores"
    rows = zip(record["rows"], figures(record), strict=True)
    return {row["sha256"]: (found, told) for row, found in rows if not found.failed}


def _exported(path: Path, speeds: Mapping[str, tuple[Figures, str]]) -> Exported:
    digest = content_hash(path)
    mib = path.stat().st_size / 2**20
    return Exported(path.name, digest, read_model(path).contract, mib, None, *speeds.get(digest, (None, None)))


def _with_evaluations(
    models: Sequence[Exported], evaluations: Sequence[tuple[Path, EvaluationRecord]]
) -> list[Exported]:
    """The models with their evaluations on images that they were not trained on; names do not count, content does."""
    there = {model.sha256 for model in models}
    found: dict[str, Mapping[str, Any]] = {}
    passed_over: dict[str, list[str]] = {model.sha256: [] for model in models}
    for path, one in evaluations:
        again = f"measure the file again: allkit evaluate {one.model} --json > {path}"
        if one.sha256 is UNSET:
            raise AllkitError(
                f"{path} does not say which file it measured; an earlier version of allkit wrote it: {again}"
            )
        if one.sha256 not in there:
            raise AllkitError(
                f"{path} is of a file {one.model} of other content than the models of this report: give that file too, "
                f"leave the record out, or {again}"
            )
        if one.seen_in_training in ("no", "unknown"):
            record = as_plain(one)
            if found.setdefault(one.sha256, record) != record:
                raise AllkitError(f"{path} is not the only evaluation of {one.model}: a report shows one per model")
        else:
            counts = one.trained_on.text if isinstance(one.trained_on, TrainedOn) else "some images were trained on"
            passed_over[one.sha256].append(f"an evaluation is not shown, {counts}")
    return [
        replace(model, evaluation=found.get(model.sha256), passed_over=tuple(passed_over[model.sha256]))
        for model in models
    ]


def _record(path: Path) -> Mapping[str, Any]:
    return as_plain(read_json(path, TrainingRecord, _KNOWN))


def _unknown(path: Path) -> AllkitError:
    return AllkitError(f"{path} cannot be reported on: {_KNOWN}")

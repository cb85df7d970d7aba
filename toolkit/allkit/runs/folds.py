"""Which runs are the folds of one cross-validation: asked before one is trained, and again before all are pooled.

What the images are decides, by their hashes, and not where they lie: a training may be resumed on another machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.runs.run import Run, begun, fold_folder
from allkit.runs.settings import Settings

_REPEAT = "repeat the cross-validation with the options it was started with, or into another --out"


def earlier_fold(folder: Path, folds: int) -> Run | None:
    """The first fold that is there; AllkitError where those that are there could not be pooled."""
    there = {fold: fold_folder(folder, fold) for fold in range(folds)}
    runs = {fold: Run.open(path) for fold, path in there.items() if begun(path)}
    check_folds(runs, folds)
    return next(iter(runs.values()), None)


def check_next_fold(folder: Path, settings: Settings, split: Split, fold: int, folds: int, first: Run) -> None:
    """AllkitError where a fold that is to be trained in `folder` could not be pooled with another."""
    if different := _difference(first, settings, split, fold, folds):
        raise AllkitError(f"{folder} would have other settings than {first.folder} ({different}): {_REPEAT}")


def check_folds(runs: Mapping[int, Run], folds: int) -> None:
    """AllkitError where runs, by the number of their fold, are not of one cross-validation, or do not say enough."""
    for fold, run in runs.items():
        first = next(iter(runs.values()))
        if different := _difference(first, run.settings, run.split, fold, folds):
            beside = "" if run is first else f" than {first.folder}"
            raise AllkitError(f"{run.folder} was trained with other settings{beside} ({different}): {_REPEAT}")
        if run.finished and "predictions" not in run.metrics():
            raise AllkitError(
                f"{run.folder / 'metrics.json'} does not say which images the baseline got right, so that its interval "
                "could not respect groups: an earlier version of allkit wrote it; train that fold again"
            )


def _difference(first: Run, settings: Settings, split: Split, fold: int, folds: int) -> str | None:
    """The first thing that tells a fold from what it should be beside another, None if nothing does."""
    wanted = {**_told(first.settings, first.split), "fold": fold, "folds": folds}
    found = _told(settings, split)
    for name in wanted | found:
        if found.get(name) != wanted.get(name):
            return f"{name.replace('_', ' ')} {found.get(name)}, not {wanted.get(name)}"
    there = first.split.hashes
    other = next((path for path in there | split.hashes if there.get(path) != split.hashes.get(path)), None)
    return other and f"{other} has other content, or is in one of them alone"


def _told(settings: Settings, split: Split) -> dict[str, Any]:
    """Everything that the folds of one cross-validation have in common but the images, by name."""
    told = settings.to_dict()
    del told["data"]
    recipe = told.pop("recipe")
    recipe["recipe"] = recipe.pop("name")
    parameters = dict(split.parameters)
    parameters["split_seed"] = parameters.pop("seed", None)
    return {**told.pop("pixels"), **told, **recipe, "split": split.protocol, **parameters}

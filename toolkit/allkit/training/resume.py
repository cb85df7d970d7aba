"""What a resumed training refuses: options that would have made another run than the one that is there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from allkit.data.protocol import BLOCK_LENGTH, FOLDS, PROTOCOLS
from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.runs.run import Run
from allkit.support.files import content_hash
from allkit.training.options import TrainOptions


def refuse_changes(run: Run, options: TrainOptions, given: Collection[str], fold: int, folds: int | None) -> None:
    """A resumed run keeps its settings: AllkitError names the first option in `given` that would change one.

    fold, folds: of the cross-validation, 0 and None for a single run. The images are compared by content when they are
    read.
    """
    for option, kept, asked in _compared(run, options, given, fold, folds):
        if kept != asked:
            raise AllkitError(
                f"the run was started with {option} {'none' if kept is None else kept}, not {asked}: resume it without "
                "that option, or start another run"
            )


def _compared(
    run: Run, options: TrainOptions, given: Collection[str], fold: int, folds: int | None
) -> Iterator[tuple[str, Any, Any]]:
    """Name, value in the run and value asked for, of each given option."""
    settings, split = run.settings, run.split
    recipe = settings.recipe.to_dict()
    kept = {
        "architecture": settings.architecture,
        "size_px": settings.pixels.size_px,
        "jpeg_scale": settings.pixels.jpeg_scale,
        "shrink": settings.pixels.shrink,
        "width": settings.width,
        "seed": settings.seed,
        **recipe,
        "recipe": recipe["name"],
    }
    asked = options.named()
    for name in (name for name in kept if name in given):
        yield name.removesuffix("_px").replace("_", " "), kept[name], asked[name]
    length = split.parameters.get("block_length")
    if "block_length" in given and (length, options.block_length) != (None, BLOCK_LENGTH):
        yield "block length", length, options.block_length
    if folds is not None:
        yield "folds", split.parameters.get("folds"), folds
    if options.groups_file:
        yield "groups", split.parameters.get("groups"), f"file {content_hash(options.groups_file)}"
    if "split" in given:
        yield from _splits(run, options, fold, folds)


def _splits(run: Run, options: TrainOptions, fold: int, folds: int | None) -> Iterator[tuple[str, Any, Any]]:
    split = run.split
    if options.split not in PROTOCOLS:
        other = Split.load(options.split)
        for name in ("protocol", "parameters"):
            yield f"a split of {name}", getattr(split, name), getattr(other, name)
        yield "a split of hash", split.hash, other.hash
        return
    yield "split", split.protocol, options.split
    # The split may have come from a file that was made with other numbers.
    for name, value in (("seed", run.settings.seed), ("fold", fold), ("folds", folds or FOLDS)):
        yield f"a split of {name}", split.parameters.get(name), value

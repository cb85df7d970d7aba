"""What `allkit train --resume` refuses: options that would have made another run than the one that is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from click.core import ParameterSource

from allkit.data.protocol import FOLDS, PROTOCOLS
from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.runs.run import Run
from allkit.support.files import content_hash


def refuse_changes(ctx: click.Context, run: Run, fold: int) -> None:
    """A resumed run keeps its settings: AllkitError names the first option that would change one.

    fold: of the cross-validation, 0 for a run alone. Only what was typed counts; the rest is kept. The images are
    compared by content when they are read.
    """
    for option, kept, given in _compared(ctx, run, fold):
        if kept != given:
            raise AllkitError(
                f"the run was started with {option} {'none' if kept is None else kept}, not {given}: resume it without "
                "that option, or start another run"
            )


def _compared(ctx: click.Context, run: Run, fold: int) -> Iterator[tuple[str, Any, Any]]:
    """Name, value in the run and value given, of each option that was typed."""
    settings, split = run.settings, run.split
    kept = {
        "jpeg_scale": settings.pixels.jpeg_scale,
        "shrink": settings.pixels.shrink,
        "width": settings.width,
        "seed": settings.seed,
        "recipe_name": settings.recipe.name,
        **settings.recipe.to_dict(),
        "block_length": split.parameters.get("block_length"),
        "folds": split.parameters.get("folds"),
    }
    typed = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    for name in filter(typed.__contains__, kept):
        yield name.replace("_", " "), kept[name], ctx.params[name]
    if "sizes" in typed and settings.pixels.size_px not in ctx.params["sizes"]:
        yield "sizes", settings.pixels.size_px, ctx.params["sizes"]
    if "groups_file" in typed:
        yield "groups", split.parameters.get("groups"), f"file {content_hash(ctx.params['groups_file'])}"
    if "split" in typed:
        yield from _splits(ctx, run, fold)


def _splits(ctx: click.Context, run: Run, fold: int) -> Iterator[tuple[str, Any, Any]]:
    named, split = ctx.params["split"], run.split
    if named not in PROTOCOLS:
        given = Split.load(named)
        for name in ("protocol", "parameters"):
            yield f"a split of {name}", getattr(split, name), getattr(given, name)
        yield "a split of hash", split.hash, given.hash
        return
    yield "split", split.protocol, named
    # It may have come from a file that was made with other numbers.
    for name, value in (("seed", run.settings.seed), ("fold", fold), ("folds", ctx.params["folds"] or FOLDS)):
        yield f"a split of {name}", split.parameters.get(name), value

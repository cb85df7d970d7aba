"""`allkit train`."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
from click.core import ParameterSource

from allkit.cli.interrupt import exits_at_once
from allkit.cli.options import NamedPath, data_option
from allkit.cli.progress import TrainingDisplay
from allkit.cli.tables import print_metrics
from allkit.cli.terminal import say
from allkit.errors import AllkitError
from allkit.model.architecture import ARCHITECTURES
from allkit.runs.find import newest_unfinished
from allkit.runs.recipe import RECIPES, Recipe
from allkit.runs.run import begun
from allkit.runs.settings import SIZES
from allkit.training.job import RUNS, cross_validate, new_folder
from allkit.training.job import train as train_run
from allkit.training.options import TrainOptions

EPILOG = """\b
Examples:
  allkit train --data ALL/ --recipe scratch --size 150 --width 0.25
  allkit train --data ALL/ --size 150 --size 200 --recipe scratch --epochs 10
  allkit train --data ALL/ --weights vgg16.weights.h5 --split random
  allkit train --data ALL/ --recipe scratch --size 150 --width 0.25 --folds 5 --out runs/cv
  allkit train --data ALL/ --recipe scratch --out runs/mine --resume
  allkit train --data ALL/ --recipe scratch --hue-degrees 30 --preview look.png

The run folder holds the model, the recipe, the split, the history, two figures
and metrics.json. To resume an interrupted training, repeat the command with --resume."""


class OrNone(click.ParamType):
    """A value of another type, or the word `none` for None."""

    def __init__(self, kind: type):
        self._kind = click.types.convert_type(kind)
        self.name = f"{self._kind.name}|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value in (None, "none") else self._kind.convert(value, param, ctx)


def _shown(value: Any) -> str:
    """A default as help shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def recipe_options(command):
    """One option for each field of a recipe; unset options leave the recipe's own value."""
    hints = get_type_hints(Recipe)
    for field in reversed(dataclasses.fields(Recipe)):
        if field.name == "name":
            continue
        values = {name: _shown(getattr(recipe, field.name)) for name, recipe in RECIPES.items()}
        default = ", ".join(f"{name}: {value}" for name, value in values.items())
        if len(set(values.values())) == 1:
            default = next(iter(values.values()))
        flag = f"--{field.name.replace('_', '-')}"
        hint = hints[field.name]
        optional = type(None) in get_args(hint)
        kind = next(one for one in get_args(hint) if one is not type(None)) if optional else hint
        choices = field.metadata["choices"]
        command = click.option(
            f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
            field.name,
            type=None if kind is bool else click.Choice(choices) if choices else OrNone(kind) if optional else kind,
            default=None,
            help=f"{field.metadata['help'][0].upper()}{field.metadata['help'][1:]}.  [default: {default}]",
        )(command)
    return command


@click.command(epilog=EPILOG)
@data_option
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(list(RECIPES)),
    default=TrainOptions.recipe.name,
    show_default=True,
    help="paper: ImageNet weights, block 5 frozen; scratch: random weights, all layers train.",
)
@click.option(
    "--architecture",
    type=click.Choice(list(ARCHITECTURES)),
    default=TrainOptions.architecture,
    show_default=True,
    help="vgg16: that of the paper; vgg16-blockN: its first N blocks and a pooled head; patchvgg: fast, on patches of "
    "2 x 2 px; the others as published, from scratch with --recipe scratch.",
)
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(*SIZES),
    multiple=True,
    default=(TrainOptions.size_px,),
    show_default=True,
    help="Image size in pixels; repeat the option for one run per size.",
)
@click.option(
    "--jpeg-scale",
    type=click.Choice([1, 2]),
    default=TrainOptions.jpeg_scale,
    show_default=True,
    help="2 decodes JPEG files at half size, in training and at inference: faster for sizes up to half that of the "
    "images.",
)
@click.option(
    "--shrink",
    type=click.Choice(["area", "linear"]),
    default=TrainOptions.shrink,
    show_default=True,
    help="How larger images are made smaller, in training and at inference: area averages, linear is faster.",
)
@click.option(
    "--width",
    type=click.FloatRange(0, 4, min_open=True),
    default=TrainOptions.width,
    show_default=True,
    help="Width multiplier: scales every channel count and the Dense layer.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=TrainOptions.seed,
    show_default=True,
    help="Seed of the split, the weights and the augmentation.",
)
@click.option(
    "--split",
    default=TrainOptions.split,
    show_default=True,
    metavar="grouped|random|FILE",
    help="grouped keeps neighbouring images together; random is the paper's protocol; or a run's split.json.",
)
@click.option(
    "--groups",
    "groups_file",
    type=NamedPath(dir_okay=False),
    help="CSV with columns path,patient: the groups of --split grouped.",
)
@click.option(
    "--block-length",
    type=click.IntRange(1),
    default=TrainOptions.block_length,
    show_default=True,
    help="Neighbouring file numbers in one group, where no --groups are given.",
)
@click.option(
    "--folds", type=click.IntRange(2), help="Cross-validate: one run per fold below --out, and the pooled result."
)
@click.option(
    "--out",
    type=NamedPath(file_okay=False),
    help="Run folder; with several sizes, -SIZE is appended.  [runs/MODEL-RECIPE-TIME]",
)
@click.option(
    "--tensorboard", type=NamedPath(file_okay=False), help="Write the curves for TensorBoard below this folder, too."
)
@click.option(
    "--preview", type=NamedPath(dir_okay=False), help="Write a PNG of images as the recipe augments them, and stop."
)
@click.option("--resume", is_flag=True, help="Resume the run in --out, or the newest unfinished one.")
@recipe_options
@click.pass_context
def train(
    ctx: click.Context,
    data: Path,
    recipe_name: str,
    sizes: tuple[int, ...],
    folds: int | None,
    out: Path | None,
    preview: Path | None,
    resume: bool,
    **named: Any,
) -> None:
    """Train a network, by default the modified VGG16, on a folder with one sub-folder of images per class."""
    typed = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    of_recipe = {field.name for field in dataclasses.fields(Recipe)} & named.keys()
    recipe = RECIPES[recipe_name].override(**{name: named[name] for name in of_recipe & typed})
    others = {name: value for name, value in named.items() if name not in of_recipe}
    requested = [TrainOptions(data, recipe, size_px=size_px, **others) for size_px in sizes]
    given = {{"recipe_name": "recipe", "sizes": "size_px"}.get(name, name) for name in typed}
    if preview:
        from allkit.training.preview import save_preview

        save_preview(requested[0], preview)
        say(f"preview: {preview}")
        return
    if folds and not out:
        raise click.UsageError("--folds needs --out, the folder of the cross-validation")
    for folder, options in zip(_folders(requested, out, resume), requested, strict=True):
        options = dataclasses.replace(options, out=folder)
        again = "the same command and --resume" if folds else f"allkit train --out {folder} --resume"
        with TrainingDisplay() as display, exits_at_once(partial(_interrupted, display, again)):
            if folds is None:
                train_run(options, resume=resume, callback=display, given=given)
                continue
            result = cross_validate(options, folds, resume=resume, callback=display, given=given)
        print_metrics(result.metrics, f"{result.name}, {result.split}", result.baseline)
        say(f"\nrecord: {result.folder / 'metrics.json'}")


def _interrupted(display: TrainingDisplay, again: str) -> None:
    display.close()
    say(f"interrupted; resume after the last finished epoch with: {again}", err=True)


def _folders(requested: list[TrainOptions], out: Path | None, resume: bool) -> list[Path]:
    """The run folder of each size."""
    if resume and not out:
        if len(requested) > 1:
            raise click.UsageError("--resume with several sizes needs the --out that they were started with")
        return [newest_unfinished(RUNS).folder]
    if out and not out.name and len(requested) > 1:
        raise click.UsageError(f"--out {out} has no name to append the sizes to: name a folder")
    folders = [out or new_folder(options) for options in requested]
    if out and len(requested) > 1:
        folders = [out.with_name(f"{out.name}-{options.size_px}") for options in requested]
    if resume and not any(map(begun, folders)):
        raise AllkitError(f"there is no run in {', '.join(map(str, folders))}: leave out --resume to start one")
    return folders

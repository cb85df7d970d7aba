"""`allkit train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
from click.core import ParameterSource

from allkit.cli.options import NamedPath, data_option
from allkit.cli.progress import TrainingProgress, read_with_progress
from allkit.cli.resume import refuse_changes
from allkit.cli.tables import print_metrics
from allkit.cli.terminal import say
from allkit.data.index import Images, scan
from allkit.data.protocol import BLOCK_LENGTH, FOLDS, PROTOCOLS, make_split, remarks
from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.runs.folds import check_next_fold, earlier_fold, fold_folder
from allkit.runs.recipe import RECIPES, SCRATCH, Recipe
from allkit.runs.run import VGG16, Run, Settings, begun, model_name, newest_unfinished
from allkit.support.files import check_folder

RUNS = Path("runs")

EPILOG = """\b
Examples:
  allkit train --data ALL/ --recipe scratch --size 150 --width 0.25
  allkit train --data ALL/ --size 150 --size 200 --recipe scratch --epochs 10
  allkit train --data ALL/ --weights vgg16.weights.h5 --split random
  allkit train --data ALL/ --recipe scratch --size 150 --width 0.25 --folds 5 --out runs/cv
  allkit train --data ALL/ --recipe scratch --width 0.25 --teacher runs/wide --split runs/wide/split.json
  allkit train --data ALL/ --recipe scratch --out runs/mine --resume

The run folder holds the model, the recipe, the split, the history, two figures
and metrics.json. An interrupted training goes on with the same command and --resume."""


class OrNone(click.ParamType):
    """A value of another type, or the word `none` for None."""

    def __init__(self, kind: type):
        self._kind = click.types.convert_type(kind)
        self.name = f"{self._kind.name}|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value in (None, "none") else self._kind.convert(value, param, ctx)


def recipe_options(command):
    """One option for each field of a recipe; unset options leave the recipe's own value."""
    hints = get_type_hints(Recipe)
    for field in reversed(dataclasses.fields(Recipe)):
        if field.name == "name":
            continue
        values = {name: getattr(recipe, field.name) for name, recipe in RECIPES.items()}
        shown = next(iter(values.values())) if len(set(values.values())) == 1 else None
        default = shown if shown is not None else ", ".join(f"{name} {value}" for name, value in values.items())
        default = "none" if default == () else default
        flag = f"--{field.name.replace('_', '-')}"
        kind = type(getattr(SCRATCH, field.name))
        optional = type(None) in get_args(hints[field.name])
        choices = field.metadata["choices"]
        command = click.option(
            f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
            field.name,
            type={bool: None, tuple: str}.get(
                kind, click.Choice(choices) if choices else OrNone(kind) if optional else kind
            ),
            multiple=kind is tuple,
            default=None,
            help=f"{field.metadata['help']}  [{default}]",
        )(command)
    return command


@click.command(epilog=EPILOG)
@data_option
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(list(RECIPES)),
    default="paper",
    show_default=True,
    help="paper: ImageNet weights, block 5 frozen; scratch: random weights, all layers train.",
)
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(32, 1024),
    multiple=True,
    default=(300,),
    show_default=True,
    help="Image size in pixels; repeat it for one run a size.",
)
@click.option(
    "--jpeg-scale",
    type=click.Choice([1, 2]),
    default=1,
    show_default=True,
    help="2 decodes JPEG files at half size, in training and ever after: cheaper at inference for --size up to half "
    "of the images'.",
)
@click.option(
    "--shrink",
    type=click.Choice(["area", "linear"]),
    default="area",
    show_default=True,
    help="How larger images are made smaller, in training and ever after: area averages, linear is cheaper.",
)
@click.option(
    "--width",
    type=click.FloatRange(0, 4, min_open=True),
    default=1.0,
    show_default=True,
    help="Width multiplier: scales every channel count and the Dense layer.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the split, the weights and the augmentation.",
)
@click.option(
    "--split",
    default="grouped",
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
    default=BLOCK_LENGTH,
    show_default=True,
    help="Neighbouring file numbers in one group, where no --groups are given.",
)
@click.option(
    "--folds",
    type=click.IntRange(2),
    help="Cross-validate: one run a fold below --out, and the pooled result.",
)
@click.option(
    "--out",
    type=NamedPath(file_okay=False),
    help="Run folder; with several sizes, -SIZE is appended.  [runs/MODEL-RECIPE-TIME]",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out, else with the newest unfinished one.")
@recipe_options
@click.pass_context
def train(
    ctx: click.Context,
    data: Path,
    recipe_name: str,
    sizes: tuple[int, ...],
    jpeg_scale: int,
    shrink: str,
    width: float,
    seed: int,
    split: str,
    groups_file: Path | None,
    block_length: int,
    folds: int | None,
    out: Path | None,
    resume: bool,
    **overrides,
) -> None:
    """Train the modified VGG16 on a folder with one sub-folder of images per class."""
    _check_usage(split, groups_file, folds, sizes, out, resume)
    # An earlier run is told apart by its folder, from wherever this one is resumed.
    if (given := overrides["weights"]) and Path(given).is_dir():
        overrides["weights"] = str(Path(given).resolve())
    overrides["teacher"] = tuple(str(Path(folder).resolve()) for folder in overrides["teacher"])
    ctx.params |= overrides
    _check_earlier_runs([*overrides["teacher"], overrides["weights"]], folds, out)
    typed = {name for name in overrides if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    recipe = RECIPES[recipe_name].override(**{name: overrides[name] for name in typed})
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")

    @lru_cache(maxsize=1)
    def images_of(root: Path, pixels: PixelPath) -> Images:
        return read_with_progress(scan(root), pixels)

    def split_for(images: Images, fold: int) -> Split:
        if split in PROTOCOLS:
            return make_split(images, split, seed, fold, folds or FOLDS, block_length, groups_file)
        given = Split.load(split)
        given.check(images.hashes_by_path)
        return given

    def run_in(folder: Path, size_px: int, fold: int = 0, target: Path | None = None, first: Run | None = None) -> Run:
        root = data
        if resume and begun(folder):
            run = Run.open(folder)
            refuse_changes(ctx, run, fold)
            if ctx.get_parameter_source("data") != ParameterSource.COMMANDLINE:
                root = Path(run.settings.data)
        else:
            pixels = PixelPath(size_px, shrink=shrink, jpeg_scale=jpeg_scale)
            images = images_of(root, pixels)
            home = str(images.dataset.root.resolve())
            settings = Settings(VGG16, pixels, width, seed, recipe, images.dataset.classes, home)
            made = split_for(images, fold)
            if first:
                check_next_fold(folder, settings, made, fold, folds, first)
            if not fold:
                for remark in remarks(images, made):
                    click.echo(remark, err=True)
            run = Run.create(folder, settings, made)
        if run.finished:
            say(f"{folder} is finished already", err=True)
        else:
            _train(run, images_of(root, run.settings.pixels), target or folder)
        return run

    if resume and out is None:
        run_in(newest_unfinished(RUNS).folder, sizes[0])
        return
    names = {size_px: out or RUNS / f"{model_name(VGG16, width, size_px)}-{recipe.name}-{stamp}" for size_px in sizes}
    if out and len(sizes) > 1:
        names = {size_px: out.with_name(f"{out.name}-{size_px}") for size_px in sizes}
    for folder in names.values():
        check_folder(folder)
    if folds and (alone := next((folder for folder in names.values() if (folder / "run.json").exists()), None)):
        raise AllkitError(f"{alone} is a run and no cross-validation: leave out --folds, or give another --out")
    if resume and not any(map(begun, names.values())):
        raise AllkitError(f"there is no run in {', '.join(map(str, names.values()))}: leave out --resume to start one")
    for size_px, folder in names.items():
        if folds is None:
            run_in(folder, size_px)
        else:
            first = earlier_fold(folder, folds) if resume else None
            runs = [run_in(fold_folder(folder, fold), size_px, fold, out, first) for fold in range(folds)]
            _pool(runs, folder)


def _check_usage(
    split: str, groups_file: Path | None, folds: int | None, sizes: Sequence[int], out: Path | None, resume: bool
) -> None:
    if folds and split not in PROTOCOLS:
        raise click.UsageError("--folds deals out the images anew: give --split grouped or random, not a file")
    if groups_file and split != "grouped":
        raise click.UsageError("--groups names the groups of --split grouped: leave one of the two out")
    if folds and not out:
        raise click.UsageError("--folds needs --out, the folder of the cross-validation")
    if out and not out.name and len(sizes) > 1:
        raise click.UsageError(f"--out {out} has no name to append the sizes to: name a folder")
    if resume and not out and len(sizes) > 1:
        raise click.UsageError("--resume with several sizes needs the --out that they were started with")


def _check_earlier_runs(named: Sequence[str | None], folds: int | None, out: Path | None) -> None:
    folders = [Path(name) for name in named if name and Path(name).is_dir()]
    if folds and folders:
        raise click.UsageError(
            f"--folds would test each fold but one on images that {folders[0]} was trained on: train the folds one by "
            "one, with the split.json of an earlier run each"
        )
    if out and out.resolve() in folders:
        raise click.UsageError(f"{out} cannot learn from itself: give another --out")


def _train(run: Run, images: Images, target: Path) -> None:
    from allkit.training.backend import device, prepare

    prepare()
    from allkit.training.train import train as train_run

    say(f"training {run.settings.name} on {device()}", err=True)
    try:
        with TrainingProgress(run.settings.recipe) as progress:
            metrics, baseline = train_run(run, images, progress)
    except KeyboardInterrupt:
        again = f"allkit train --out {target} --resume" if target == run.folder else "the same command and --resume"
        say(f"interrupted; go on with: {again}", err=True)
        raise
    print_metrics(metrics, f"{run.settings.name}, test part of the {run.split.label} split", baseline)
    say(f"\nrun folder: {run.folder}\nnext: allkit export --run {run.folder}")


def _pool(runs: Sequence[Run], folder: Path) -> None:
    from allkit.training.cross_validation import pool

    metrics, baseline = pool(runs, folder)
    print_metrics(metrics, f"{runs[0].settings.name}, {len(runs)} folds of the {runs[0].split.label} split", baseline)
    say(f"\nrecord: {folder / 'metrics.json'}")

"""`allkit train`."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from allkit.cli.options import data_option
from allkit.errors import AllkitError
from allkit.training.recipe import RECIPES, SCRATCH, Recipe

if TYPE_CHECKING:
    from allkit.dataset.index import Images
    from allkit.training.run import Run, Settings

RUNS = Path("runs")

EPILOG = """\b
Examples:
  allkit train --data ALL/ --recipe scratch --size 150 --width 0.25
  allkit train --data ALL/ --size 150 --size 200 --recipe scratch --epochs 10
  allkit train --data ALL/ --weights vgg16.weights.h5 --seed 1
  allkit train --data ALL/ --recipe scratch --out runs/mine --resume

The run folder holds the model, the recipe, the split, the history, two figures
and metrics.json. An interrupted training goes on with the same command and --resume."""


def recipe_options(command):
    """One option for each field of a recipe; unset options leave the recipe's own value."""
    for field in reversed(dataclasses.fields(Recipe)):
        if field.name == "name":
            continue
        values = {name: getattr(recipe, field.name) for name, recipe in RECIPES.items()}
        shown = next(iter(values.values())) if len(set(values.values())) == 1 else None
        default = shown if shown is not None else ", ".join(f"{name} {value}" for name, value in values.items())
        flag = f"--{field.name.replace('_', '-')}"
        kind = type(getattr(SCRATCH, field.name))
        choices = field.metadata["choices"]
        command = click.option(
            f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
            field.name,
            type=None if kind is bool else click.Choice(choices) if choices else kind,
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
    "split_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Use the split in this file (a run's split.json) instead of drawing one.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
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
    width: float,
    seed: int,
    split_file: Path | None,
    out: Path | None,
    resume: bool,
    **overrides,
) -> None:
    """Train the modified VGG16 on a folder with one sub-folder of images a class."""
    from allkit.cli.progress import read_with_progress
    from allkit.dataset.index import scan
    from allkit.dataset.split import Split, random_split
    from allkit.images import PixelPath
    from allkit.training.run import VGG16, Run, Settings, model_name, newest_unfinished

    recipe = RECIPES[recipe_name].override(**overrides)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")

    def folder_of(size_px: int) -> Path:
        if out is None:
            return RUNS / f"{model_name(VGG16, width, size_px)}-{recipe.name}-{stamp}"
        return out if len(sizes) == 1 else out.with_name(f"{out.name}-{size_px}")

    def go_on(folder: Path) -> None:
        run = Run.open(folder)
        _refuse_changes(ctx, run.settings)
        if run.finished:
            click.echo(f"{folder} is finished already", err=True)
            return
        moved = ctx.get_parameter_source("data") != ParameterSource.DEFAULT
        dataset = scan(data if moved else run.settings.data)
        _finish(run, read_with_progress(dataset, run.settings.pixels))

    if resume and out is None:
        go_on(newest_unfinished(RUNS).folder)
        return
    for size_px in sizes:
        folder = folder_of(size_px)
        if resume and folder.exists():
            go_on(folder)
            continue
        pixels = PixelPath(size_px)
        images = read_with_progress(scan(data), pixels)
        classes = images.dataset.classes
        settings = Settings(VGG16, pixels, width, seed, recipe, classes, str(images.dataset.root.resolve()))
        split = Split.load(split_file) if split_file else random_split(images.dataset, images.hashes, seed)
        split.check(images.hashes_by_path)
        _finish(Run.create(folder, settings, split), images)


def _finish(run: Run, images: Images) -> None:
    from allkit.training.backend import prepare

    prepare()
    from allkit.cli.progress import TrainingProgress
    from allkit.cli.tables import print_metrics
    from allkit.training.train import train as train_run

    try:
        with TrainingProgress(run.settings.recipe) as progress:
            metrics = train_run(run, images, progress)
    except KeyboardInterrupt:
        click.echo(f"interrupted; go on with: allkit train --out {run.folder} --resume", err=True)
        raise
    print_metrics(metrics, f"{run.settings.name}, test part of the {run.split.protocol} split")
    click.echo(f"\nrun folder: {run.folder}\nnext: allkit export --run {run.folder}")


def _refuse_changes(ctx: click.Context, settings: Settings) -> None:
    """A resumed run keeps its settings: AllkitError names the first option that would change one."""
    kept = {
        "sizes": (settings.pixels.size_px,),
        "width": settings.width,
        "seed": settings.seed,
        "recipe_name": settings.recipe.name,
        **settings.recipe.to_dict(),
    }
    for option, value in kept.items():
        given = ctx.params.get(option)
        explicit = ctx.get_parameter_source(option) == ParameterSource.COMMANDLINE
        in_sizes = option == "sizes" and value[0] in (given or ())
        if explicit and given != value and not in_sizes:
            raise AllkitError(
                f"the run was started with {option.replace('_', ' ')} {value}, not {given}: "
                "resume it without that option, or start another run"
            )

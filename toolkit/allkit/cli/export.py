"""`allkit export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from allkit.cli.options import NamedPath
from allkit.exporting.options import PRECISIONS, ExportOptions

EPILOG = """\b
Examples:
  allkit export --size 200                 the newest finished run at 200 px
  allkit export --size 150 --precision fp32,fp16,int8 --heatmap
  allkit export --run runs/mine --out models/ --max-drop 0.005
  allkit export --all                      every run, every precision, one table
  allkit export --size 150 --triton repository/

fp32 is validated against the Keras model, fp16 and int8 against fp32, on images of the
run's validation part. A file that does not pass is not written.

The fastest file of a run on this machine becomes the default of its folder: in
./exported that is the model of `allkit classify` without --model. An export of several
runs leaves the default as it is.

Exit status 0 when every file asked for was written, 1 when some did not pass, 2 for
wrong usage or a run that cannot be read."""


def _precisions(ctx: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if wrong := [name for name in names if name not in PRECISIONS]:
        raise click.BadParameter(f"{wrong[0]!r} is not one of {', '.join(PRECISIONS)}")
    return names


@click.command(epilog=EPILOG)
@click.option("--size", "size_px", type=click.IntRange(32, 1024), help="Export the newest finished run of this size.")
@click.option(
    "--run", "folder", type=NamedPath(file_okay=False), help="Export this run folder instead of the newest run."
)
@click.option(
    "--all", "every", is_flag=True, help="Export the newest run of each network, width and size, and print a table."
)
@click.option(
    "--precision",
    "precisions",
    callback=_precisions,
    default=",".join(ExportOptions.precisions),
    show_default=True,
    metavar="LIST",
    help="Any of fp32, fp16 and int8, one file each; with --all the default is all three.",
)
@click.option(
    "--heatmap",
    is_flag=True,
    help="Add the output `heatmap`: where the evidence for the predicted class lies (HiResCAM).",
)
@click.option(
    "--seven-bit",
    is_flag=True,
    help="Give int8 weights seven bits, for other runtimes on processors whose int8 sums saturate (x86 without VNNI). "
    "allkit itself does not need it: it selects exact kernels.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 1),
    default=ExportOptions.max_drop,
    show_default=True,
    help="How much lower the validation accuracy of fp16 and int8 may be than that of fp32.",
)
@click.option(
    "--runs", type=NamedPath(file_okay=False), default=Path("runs"), show_default=True, help="Where to look for runs."
)
@click.option(
    "--out",
    type=NamedPath(file_okay=False),
    default=ExportOptions.out,
    show_default=True,
    help="Folder for the models and their cards.",
)
@click.option("--data", type=NamedPath(), help="The images that the run was trained on, if they have moved.")
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=ExportOptions.coverage,
    show_default=True,
    help="Share of images whose prediction set should contain the true class.",
)
@click.option(
    "--triton",
    type=NamedPath(file_okay=False),
    help="Also write a model repository for NVIDIA Triton and KServe into this folder, of all files but int8 ones "
    "without --seven-bit.",
)
@click.option(
    "--model",
    type=NamedPath(dir_okay=False),
    help="With --triton: take this exported file, and export nothing.",
)
@click.pass_context
def export(
    ctx: click.Context,
    size_px: int | None,
    folder: Path | None,
    every: bool,
    precisions: tuple[str, ...],
    heatmap: bool,
    seven_bit: bool,
    max_drop: float,
    runs: Path,
    out: Path,
    data: Path | None,
    coverage: float,
    triton: Path | None,
    model: Path | None,
) -> None:
    """Convert trained runs to verified ONNX models in fp32, fp16 and int8."""
    if every and (folder or size_px):
        raise click.UsageError("--all takes every run: give it without --run and --size")
    if model:
        if not triton or every or folder or size_px:
            raise click.UsageError("--model is for --triton alone: give it without --run, --size and --all")
        from allkit.exporting.triton import write_repository

        _print_repository(triton, write_repository([model], triton))
        return

    from allkit.cli.progress import ProgressDisplay
    from allkit.cli.terminal import say
    from allkit.errors import AllkitError
    from allkit.exporting.job import export as export_runs
    from allkit.support.files import check_folder

    check_folder(out)
    if every and ctx.get_parameter_source("precisions") is click.core.ParameterSource.DEFAULT:
        precisions = PRECISIONS
    chosen = _chosen(runs, folder, size_px, every)
    options = ExportOptions(
        chosen, out, precisions, heatmap, seven_bit, max_drop, coverage, data, keep_going=every, triton=triton
    )
    with ProgressDisplay() as progress:
        result = export_runs(options, progress=progress)
    # It loads Keras, which `export` has found to be there.
    from allkit.cli.export_table import print_exports, print_failure, print_file

    for _, precision, one in result.rows:
        if isinstance(one, AllkitError):
            print_failure(precision, one)
        else:
            print_file(one)
    print_exports(result.rows)
    if result.default:
        say(f"{result.default.name} is the default of {out} now\nnext: allkit classify FOLDER --model {result.default}")
    elif len(chosen) > 1:
        say(f"the default of {out} is unchanged: export one run with --run, or name a model with --model")
    if triton:
        _print_repository(triton, result.triton)
    if result.failed:
        ctx.exit(1)


def _print_repository(folder: Path, names: Sequence[str]) -> None:
    from allkit.cli.terminal import say

    listed = ", ".join(names) or "no model"
    say(f"{folder} holds {listed}: tritonserver --model-repository={folder}; the models -files need allkit there")


def _chosen(runs: Path, folder: Path | None, size_px: int | None, every: bool) -> list[Path]:
    """The run folders that the options name."""
    from allkit.errors import AllkitError
    from allkit.runs.find import newest_finished, newest_of_each
    from allkit.runs.run import Run

    if every:
        return [run.folder for run in newest_of_each(runs)]
    run = Run.open(folder) if folder else newest_finished(runs, size_px)
    if size_px not in (None, run.settings.pixels.size_px):
        raise AllkitError(f"{run.folder} was trained at {run.settings.pixels.size_px} px, not {size_px}")
    return [run.folder]

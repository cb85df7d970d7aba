"""`allkit evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from allkit.cli.options import (
    STDOUT,
    NamedPath,
    batch_size_option,
    data_option,
    device_option,
    files_among,
    json_option,
    write_record,
)

EPILOG = """\b
Examples:
  allkit evaluate exported/vgg16x0.25-150-fp32.onnx --data ALL/
  allkit evaluate MODEL --data ALL/ --part test            the test part of its training, found by content
  allkit evaluate exported/ --data ALL/ --part test        all models of a folder, compared in pairs
  allkit evaluate A.onnx B.onnx --data ALL/ --split runs/mine/split.json
  allkit evaluate MODEL --data ALL/ --split runs/mine/split.json --shift
  allkit evaluate MODEL --data ALL/ --json record.json --report evaluation.html
  allkit evaluate MODEL --data CELLS/ --positive blast --positive promyelocyte

Images that one of the models was trained on are left out, including copies with another
name, format or size; --include-trained keeps them.

Several models are compared in pairs on the same images, by the exact McNemar test over
groups of similar images.

Exit status 0 when all images were read, 1 when some could not be."""


@click.command(epilog=EPILOG)
@click.argument("models", nargs=-1, required=True, metavar="FILES_OR_FOLDERS...", type=NamedPath())
@data_option
@click.option(
    "--split",
    "split_file",
    type=NamedPath(dir_okay=False),
    help="Measure on one part of this split (a run's split.json).  [with --part: that of the first model]",
)
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "test"]),
    help="Which part of the split.  [test]",
)
@click.option("--include-trained", is_flag=True, help="Keep images that a model was trained on, as --part train does.")
@click.option(
    "--shift", is_flag=True, help="Repeat the evaluation under imaging shifts: stain, illumination, grey, blur ..."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the shifts.")
@device_option
@batch_size_option
@click.option(
    "--positive",
    multiple=True,
    metavar="CLASS",
    help="Class that sensitivity and specificity are of, against the rest; can be repeated.  [all but Benign]",
)
@json_option
@click.option(
    "--report",
    type=NamedPath(dir_okay=False),
    help="Write one self-contained HTML page, with the misclassified images.",
)
def evaluate(
    models: tuple[Path, ...],
    data: Path,
    split_file: Path | None,
    part: str | None,
    include_trained: bool,
    shift: bool,
    seed: int,
    device: str,
    batch_size: int | None,
    positive: tuple[str, ...],
    json_file: Path | None,
    report: Path | None,
) -> None:
    """Measure exported models on labelled images: accuracy, calibration and uncertainty, with 95 % intervals."""
    from allkit.cli.evaluation_tables import print_evaluation, print_pairs
    from allkit.cli.progress import ProgressDisplay
    from allkit.cli.shift_table import print_shifts
    from allkit.cli.terminal import say
    from allkit.evaluation.job import EvaluateOptions
    from allkit.evaluation.job import evaluate as evaluate_models
    from allkit.model.file import model_files
    from allkit.support.extras import require
    from allkit.support.files import check_text_file, write_text

    models = model_files(models)
    if report:
        require("report")
    for path in files_among(json_file, report):
        check_text_file(path, [*models, *filter(None, [split_file])])
    options = EvaluateOptions(
        models, data, split_file, part, include_trained, shift, seed, device, batch_size, positive
    )
    with ProgressDisplay() as progress:
        result = evaluate_models(options, progress=progress)
    write_record(result.to_dict(), json_file)
    if json_file != STDOUT:
        for i, evaluation in enumerate(result.evaluations):
            print_evaluation(evaluation)
            if result.shifts:
                print_shifts(result.shifts[i], evaluation.subject.title)
        print_pairs(result.pairs)
    if report:
        from allkit.report.evaluation_page import evaluation_page

        write_text(report, evaluation_page(result))
        say(f"wrote {report}", err=True)
    if result.unreadable:
        click.get_current_context().exit(1)

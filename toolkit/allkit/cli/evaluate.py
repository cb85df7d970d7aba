"""`allkit evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from allkit.cli.options import data_option, device_option

EPILOG = """\b
Examples:
  allkit evaluate exported/vgg16x0.25-150-fp32.onnx --data ALL/
  allkit evaluate MODEL --data ALL/ --split runs/mine/split.json --part test
  allkit evaluate MODEL --data ALL/ --json > record.json

Exit status 0 when all images were read, 1 when some could not be."""


@click.command(epilog=EPILOG)
@click.argument("model", type=click.Path(dir_okay=False, path_type=Path))
@data_option
@click.option(
    "--split",
    "split_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Measure on one part of this split (a run's split.json).",
)
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Which part of the split.",
)
@device_option
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON instead of tables.")
def evaluate(
    model: Path, data: Path, split_file: Path | None, part: str, device: str, batch_size: int, as_json: bool
) -> None:
    """Measure an exported model on labelled images: the paper's metrics with intervals."""
    from rich.progress import track

    from allkit import Classifier
    from allkit.cli.progress import stderr, warn_skipped
    from allkit.cli.tables import print_metrics
    from allkit.dataset.index import scan
    from allkit.dataset.split import Split
    from allkit.evaluation.evaluate import evaluate as run_evaluation

    dataset = scan(data)
    warn_skipped(dataset)
    split = Split.load(split_file) if split_file else None
    classifier = Classifier(model, device=device, batch_size=batch_size)
    if classifier.notice:
        click.echo(classifier.notice, err=True)
    total = len(dataset) if split is None else len(split.parts[part])
    bar = iter(track(range(total), "evaluating", console=stderr, transient=True))
    evaluation = run_evaluation(classifier, dataset, split, part, on_image=lambda: next(bar, None))
    next(bar, None)
    if split is None:
        stderr.print("note: if the model was trained on some of these images, give --split RUN/split.json")
    for path, reason in evaluation.failed.items():
        stderr.print(f"not read: {path}: {reason}", markup=False)
    if as_json:
        click.echo(json.dumps(evaluation.to_dict(), indent=1))
    else:
        where = "all images" if split is None else f"{part} part of the {split.protocol} split"
        print_metrics(evaluation.metrics, f"{model.name} on {where} of {dataset.root}")
    if evaluation.failed:
        click.get_current_context().exit(1)

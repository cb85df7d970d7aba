"""`allkit evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from allkit.cli.options import NamedPath, batch_size_option, data_option, device_option

EPILOG = """\b
Examples:
  allkit evaluate exported/vgg16x0.25-150-fp32.onnx --data ALL/
  allkit evaluate MODEL --data ALL/ --part test            what its training did not see
  allkit evaluate A.onnx B.onnx --data ALL/ --split runs/mine/split.json
  allkit evaluate MODEL --data ALL/ --split runs/mine/split.json --shift
  allkit evaluate MODEL --data ALL/ --json > record.json

Several models are compared in pairs on the same images: exact test by group of
similar images, which is McNemar's where each stands alone.
Exit status 0 when all images were read, 1 when some could not be."""

SEEN = {
    "yes": "was trained on these images: give --part test for an honest figure",
    "maybe": "was trained under another split of these images: some may have been in its training part",
}


@click.command(epilog=EPILOG)
@click.argument("models", nargs=-1, required=True, metavar="MODELS...", type=NamedPath(dir_okay=False))
@data_option
@click.option(
    "--split",
    "split_file",
    type=NamedPath(dir_okay=False),
    help="Measure on one part of this split (a run's split.json).  [with --part: that of the first model's training]",
)
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "test"]),
    help="Which part of the split.  [test]",
)
@click.option("--shift", is_flag=True, help="Repeat it under a suite of imaging shifts: stain, light, grey, blur ...")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the shifts.")
@device_option
@batch_size_option
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON instead of tables.")
def evaluate(
    models: tuple[Path, ...],
    data: Path,
    split_file: Path | None,
    part: str | None,
    shift: bool,
    seed: int,
    device: str,
    batch_size: int | None,
    as_json: bool,
) -> None:
    """Measure exported models on labelled images: the paper's metrics, calibration and doubt, with intervals."""
    from allkit import Classifier
    from allkit.cli.evaluation_tables import print_evaluation, print_pairs
    from allkit.cli.progress import counting, read_with_progress
    from allkit.cli.shift_table import print_shifts
    from allkit.cli.terminal import say
    from allkit.contract import INTENDED_USE
    from allkit.dataset.index import scan
    from allkit.dataset.protocol import remarks, split_again
    from allkit.dataset.split import Split
    from allkit.evaluation.evaluate import SCHEMA_VERSION, class_labels, paired, subject
    from allkit.evaluation.evaluate import evaluate as evaluate_model
    from allkit.evaluation.shift_suite import evaluate_shifts

    found = scan(data)
    split = Split.load(split_file) if split_file else None
    classifiers = [Classifier(model, device=device, batch_size=batch_size) for model in models]
    if classifiers[0].notice:
        say(classifiers[0].notice, err=True)
    images = read_with_progress(found)
    if part and not split:
        split = split_again(images, classifiers[0].contract.split)
    on = subject(images, split, part or "test")
    for remark in remarks(images, split) if split else ():
        say(remark, err=True)

    evaluations, shifts = [], []
    for classifier in classifiers:
        with counting(f"evaluating {classifier.model_path.name}", len(on.rows)) as advance:
            evaluations.append(evaluate_model(classifier, on, advance))
        if warning := SEEN.get(evaluations[-1].seen_in_training):
            say(f"warning: {classifier.model_path.name} {warning}", err=True)
        if shift:
            labels = class_labels(classifier, on)
            with counting("shifting", len(on.rows)) as advance:
                root = on.images.dataset.root
                shifts.append(evaluate_shifts(classifier, root, on.paths, labels, seed, advance, on.groups))
    pairs = [(a, b, paired(a, b)) for i, a in enumerate(evaluations) for b in evaluations[i + 1 :]]

    if as_json:
        records = [evaluation.to_dict() for evaluation in evaluations]
        for record, shifted in zip(records, shifts, strict=False):
            record["shifts"] = shifted.to_dict()
        compared = [{"a": a.model.name, "b": b.model.name, **pair.to_dict()} for a, b, pair in pairs]
        whole = (
            records[0]
            if len(records) == 1
            else {
                "schema_version": SCHEMA_VERSION,
                "intended_use": INTENDED_USE,
                "evaluations": records,
                "pairs": compared,
            }
        )
        click.echo(json.dumps(whole, indent=1))
    else:
        for i, evaluation in enumerate(evaluations):
            print_evaluation(evaluation)
            if shift:
                print_shifts(shifts[i], on.title)
        print_pairs(pairs)
    if on.images.dataset.skipped.keys() - found.skipped.keys():
        click.get_current_context().exit(1)

"""`allkit evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from allkit.cli.options import NamedPath, batch_size_option, data_option, device_option

EPILOG = """\b
Examples:
  allkit evaluate exported/vgg16x0.25-150-fp32.onnx --data ALL/
  allkit evaluate MODEL --data ALL/ --part test            the test part of its training, found by content
  allkit evaluate A.onnx B.onnx --data ALL/ --split runs/mine/split.json
  allkit evaluate MODEL --data ALL/ --split runs/mine/split.json --shift
  allkit evaluate MODEL --data ALL/ --json > record.json

Images that one of the models was trained on are left out, copies under another name,
in another format or size included; --include-trained keeps them.

Several models are compared in pairs on the same images: exact test by group of
similar images, which is McNemar's where each stands alone.
Exit status 0 when all images were read, 1 when some could not be."""


@click.command(epilog=EPILOG)
@click.argument("models", nargs=-1, required=True, metavar="MODELS...", type=NamedPath(dir_okay=False))
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
@click.option("--include-trained", is_flag=True, help="Keep images that a model was trained on; so does --part train.")
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
    include_trained: bool,
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
    from allkit.data.index import scan
    from allkit.data.protocol import remarks
    from allkit.data.split import Split
    from allkit.evaluation.evaluate import SCHEMA_VERSION, class_labels, paired
    from allkit.evaluation.evaluate import evaluate as evaluate_model
    from allkit.evaluation.shift_suite import evaluate_shifts
    from allkit.evaluation.subject import part_of, subject, without_trained
    from allkit.model.contract import INTENDED_USE

    found = scan(data)
    split = Split.load(split_file) if split_file else None
    classifiers = [Classifier(model, device=device, batch_size=batch_size) for model in models]
    if classifiers[0].notice:
        say(classifiers[0].notice, err=True)
    images = read_with_progress(found)
    if part and not split:
        on, count = part_of(images, classifiers[0], part)
        say(
            f"{len(on.rows)} of {count} images of the {part} part of {classifiers[0].model_path.name} found; "
            f"its split has {on.split['groups']:,} groups",
            err=True,
        )
    else:
        on = subject(images, split, part or "test")
    if not include_trained and part in (None, "test"):
        on = without_trained(on, classifiers)
    for remark in remarks(images, split) if split else ():
        say(remark, err=True)

    evaluations, shifts = [], []
    for classifier in classifiers:
        with counting(f"evaluating {classifier.model_path.name}", len(on.rows)) as advance:
            evaluations.append(evaluate_model(classifier, on, advance))
        counts, name = evaluations[-1].trained_on, classifier.model_path.name
        if counts is None:
            say(f"warning: {name} does not tell its training images: whether these are among them is unknown", err=True)
        elif counts.trained or counts.held_aside:
            say(f"{name}: {counts.text}", err=True)
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

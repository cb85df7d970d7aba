"""`allkit classify`."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allkit.cli.options import (
    NamedPath,
    NamedPathOrUri,
    batch_size_option,
    columns_option,
    device_option,
    model_option,
    path_or_uri,
    reading_options,
)
from allkit.cli.terminal import LOG_SECONDS, say
from allkit.errors import AllkitError
from allkit.support.extras import require

if TYPE_CHECKING:
    from allkit.classification.job import Classification, Tally
    from allkit.classification.rows import Rows
    from allkit.runtime.classifier import Classifier

FORMATS = ("table", "csv", "jsonl", "parquet")

EPILOG = """\b
Examples:
  allkit classify smears/                              a table and a summary
  allkit classify a.jpg b.png --model exported/vgg16x0.25-150-fp32.onnx
  allkit classify smears/ --output labels.csv          or labels.jsonl, labels.parquet
  allkit classify smears/ --output labels.csv --resume continue after Ctrl-C
  allkit classify smears/ --format jsonl | head
  allkit classify smears/ --profile                    where the time goes
  allkit classify smears/ --heatmaps maps/             one overlay per image and a contact sheet
  allkit classify packed/ --output labels.csv          Parquet files, see `allkit data pack`
  allkit classify s3://archive/smears --ray --output s3://results/labels
                                                       on all machines of a Ray cluster

An image is marked uncertain when the classes that the model's coverage does not rule
out are not exactly one, and unfamiliar when it is unlike the training images.

Exit status 0 when all images were read, 1 when some could not be, 2 for wrong usage,
130 when it was stopped (Ctrl-C or SIGTERM).
Research use; not for diagnosis."""


@click.command(epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, type=path_or_uri, metavar="FILES_OR_FOLDERS...")
@model_option
@device_option
@batch_size_option
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="How rows are written; with all but table the summary goes to stderr.  [by the suffix of --output, or table]",
)
@click.option(
    "--output",
    type=NamedPathOrUri(),
    help="Write the rows to this file instead of stdout; it appears when all are there, or the work is stopped. "
    "A link is refused, and so is an image or a model. With --ray: a folder, or a URI, for Parquet files.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue a stopped --output: unchanged images are not classified again. Without it the work of a stopped one "
    "is never overwritten.",
)
@click.option(
    "--profile", is_flag=True, help="Show on stderr where the time went and, on a CPU, how close to the limit it came."
)
@reading_options
@click.option(
    "--heatmaps",
    type=NamedPath(file_okay=False),
    help="Write overlays of the evidence for each label into this folder, with a contact sheet of the strongest of "
    "each class; needs a model exported with --heatmap.",
)
@columns_option
@click.option(
    "--ray",
    is_flag=False,
    flag_value="",
    metavar="[ADDRESS]",
    help="Classify with Ray on all cores of a cluster: that at ADDRESS, such as head:6379, or the one that this "
    "machine belongs to, or this machine alone. Folders and --output may be URIs that pyarrow knows, such as s3://.",
)
def classify(
    sources: tuple[Path | str, ...],
    form: str | None,
    output: Path | str | None,
    resume: bool,
    profile: bool,
    heatmaps: Path | None,
    columns: tuple[str, str],
    ray: str | None,
    **options: Any,
) -> None:
    """Classify images, or all images below folders, with an exported model: one row per image."""
    if resume and output is None:
        raise click.UsageError("--resume continues a file: give --output too")
    if ray is not None:
        from allkit.cli.classify_ray import classify_on_ray

        if profile or heatmaps or form not in (None, "parquet"):
            raise click.UsageError(
                "--ray writes Parquet and nothing else: leave out --format, --profile and --heatmaps"
            )
        classify_on_ray(sources, output, ray or None, resume, columns, **options)
        return
    if far := next((one for one in (*sources, output) if isinstance(one, str)), None):
        raise click.UsageError(f"{far} is a URI: add --ray")
    if output and output.is_dir():
        raise click.UsageError(f"--output {output} is a folder: name a file in it, or write Parquet files with --ray")
    suffix = output.suffix.lower().removeprefix(".") if output else ""
    form = form or (suffix if suffix in FORMATS else "table")
    if form == "parquet":
        require("parquet")
        if output is None:
            raise click.UsageError("Parquet is no text: give --output FILE")

    from allkit import Classifier
    from allkit.archive.shards import Columns, unpacked
    from allkit.classification.job import Classification, journal_of
    from allkit.runtime.inputs import expand
    from allkit.support.files import check_folder, check_replaceable, check_text_file

    if output:
        check_replaceable(output)
    if heatmaps:
        check_folder(heatmaps)
    paths = expand(sources)
    images = unpacked(paths, Columns(*columns))
    if heatmaps and images != paths:
        raise click.UsageError("heat maps are drawn beside image files: leave out --heatmaps with Parquet files")
    classifier = Classifier(heatmaps=heatmaps is not None, **options)
    if output:
        check_text_file(output, [classifier.model_path, *paths])
    if classifier.notice:
        say(classifier.notice, err=True)
    with journal_of(output, classifier, resume) if output else nullcontext() as journal:
        job = Classification(classifier, images, journal, heatmaps)
        if kept := len(images) - len(job.todo):
            say(f"{kept} image(s) were classified before", err=True)
        _run(job, classifier, form, output)
    print_summary(job.tally, classifier, len(images), len(job.classified), job.seconds, output, err=form != "table")
    if profile and job.classified:
        _print_profile(job, classifier)
    _exit(job, len(images), output)


def _run(job: Classification, classifier: Classifier, form: str, output: Path | None) -> None:
    """Run the job; ends the command where it is stopped before its rows are written."""
    from allkit.classification.rows import optional_columns
    from allkit.cli.output import WRITERS, opened, terminated_as_interrupt

    def write(rows: Rows) -> None:
        with opened(output) as stream:
            WRITERS[form](rows, classifier.contract.classes, stream, optional_columns(classifier))

    def watch(rows: Rows, count: int) -> Rows:
        # Rows that run over the same terminal are progress enough.
        shown = sys.stderr.isatty() and (output is not None or not sys.stdout.isatty())
        if shown:
            return _tracked(rows, count)
        return _logged(rows, count) if output or not sys.stdout.isatty() else rows

    try:
        with terminated_as_interrupt():
            job.run(write, watch)
    except KeyboardInterrupt:
        advice = ": the same command with --resume writes them" if output else ""
        say(f"stopped before all results were written{advice}", err=True)
        click.get_current_context().exit(130)
    if job.sheet:
        say(f"heat maps: {job.sheet} and one file per image beside it", err=True)


def _tracked(rows: Rows, count: int) -> Rows:
    # Loading rich takes as long as classifying an image.
    from rich.console import Console
    from rich.progress import track

    return track(rows, "classifying", count, console=Console(stderr=True))


def _logged(rows: Rows, count: int) -> Rows:
    """Pass the rows on, and print a line a minute to stderr, where a bar would fill a log."""
    began = last = time.monotonic()
    for done, row in enumerate(rows, 1):
        yield row
        now = time.monotonic()
        if now - last >= LOG_SECONDS:
            last = now
            say(f"{done:,} of {count:,} image(s), {done / (now - began):.1f} images/s", err=True)


def print_summary(
    tally: Tally,
    classifier: Classifier,
    count: int,
    done: int,
    seconds: float,
    output: object | None,
    err: bool = False,
) -> None:
    """What the rows of `count` images say, and how long the `done` of them took that were classified now."""
    say("", err=err)
    if output:
        say(f"wrote {tally.labels.total():,} row(s) to {output}", err=err)
    for number, what in (
        (tally.labels[None], "could not be read"),
        (tally.unfamiliar, "are unlike those that the model was trained on: their labels mean little"),
        (tally.uncertain, "are uncertain: not exactly one class is likely"),
    ):
        if number:
            say(f"{number:,} of {count:,} image(s) {what}", err=err, fg="yellow")
    # Pairs: a class may have the name of another count.
    counts = [(name, tally.labels[name]) for name in classifier.contract.classes]
    counts += [("uncertain", tally.uncertain), ("unfamiliar", tally.unfamiliar)]
    counts += [("trained on", tally.trained_on)] * classifier.mark_trained
    counts += [("damaged", tally.damaged)] * classifier.lenient
    counts += [("not read", tally.labels[None])]
    chosen = f" ({classifier.chosen})" if classifier.chosen else ""
    say(
        f"{'  '.join(f'{name}: {count}' for name, count in counts)}\n"
        f"{done} image(s), {done / seconds:.1f} images/s with {classifier.model_path.name}{chosen} "
        f"on {classifier.provider}; research use; not for diagnosis",
        err=err,
    )


def _print_profile(job: Classification, classifier: Classifier) -> None:
    from allkit.archive.shards import opened
    from allkit.cli.profile_table import print_profile
    from allkit.runtime.providers import CPU
    from allkit.runtime.tuning import stage_costs

    some = [image for image in opened(job.classified[:128]) if not isinstance(image, AllkitError)]
    alone = stage_costs(classifier.model_path, some) if some and classifier.provider == CPU else None
    print_profile(job.seconds, len(job.classified), classifier.profile.by_thread(), alone)


def _exit(job: Classification, count: int, output: Path | None) -> None:
    """The exit status of a job on `count` images, and why it is not 0."""
    if job.stopped:
        advice = f"; {output} holds them, the same command with --resume goes on" if output else ""
        say(f"stopped after {job.tally.labels.total()} of {count} image(s){advice}", err=True)
        click.get_current_context().exit(130)
    if job.tally.labels[None]:
        click.get_current_context().exit(1)

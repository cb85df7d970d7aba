"""`allkit classify`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from allkit.cli.options import NamedPath, batch_size_option, device_option

if TYPE_CHECKING:
    from allkit.cli.journal import Journal
    from allkit.runtime.classifier import Classifier

EPILOG = """\b
Examples:
  allkit classify smears/                              a table and a summary
  allkit classify a.jpg b.png --model exported/vgg16x0.25-150-fp32.onnx
  allkit classify smears/ --format csv --output labels.csv
  allkit classify smears/ --format csv --output labels.csv --resume    continue after Ctrl-C
  allkit classify smears/ --format jsonl | head
  allkit classify smears/ --profile                    where the time goes
  allkit classify smears/ --heatmaps maps/             one overlay per image and a contact sheet

An image is marked uncertain when the classes that the model's coverage does not rule
out are not exactly one, and unfamiliar when it is unlike the training images.

Exit status 0 when all images were read, 1 when some could not be, 2 for wrong usage,
130 when it was stopped (Ctrl-C or SIGTERM).
Research use; not for diagnosis."""


@click.command(epilog=EPILOG)
@click.argument(
    "files_or_folders",
    nargs=-1,
    required=True,
    type=Path,
    metavar="FILES_OR_FOLDERS...",
)
@click.option(
    "--model",
    type=NamedPath(dir_okay=False),
    help="ONNX file made by `allkit export`.  [the one that ./exported/default names, which `allkit export` writes, "
    "else the one that comes with allkit]",
)
@device_option
@batch_size_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "jsonl"]),
    default="table",
    show_default=True,
    help="How rows are written; with csv and jsonl the summary goes to stderr.",
)
@click.option(
    "--output",
    type=NamedPath(dir_okay=False),
    help="Write the rows to this file instead of stdout; it appears when all are there, or the work is stopped. "
    "A link is refused, and so is an image or a model.",
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
@click.option(
    "--lenient",
    is_flag=True,
    help="Classify what can be decoded of damaged images, with the damage in the column warning; otherwise each is an "
    "error.",
)
@click.option(
    "--mark-trained",
    is_flag=True,
    help="Mark images that the model was trained on in one more column, trained_on: exact for the same file, near for "
    "a copy in another format, size or orientation.",
)
@click.option(
    "--bits",
    type=click.IntRange(8, 16),
    help="Bits that the values of 16-bit images use, such as 12 for many cameras.  [what the file says]",
)
@click.option(
    "--heatmaps",
    type=NamedPath(file_okay=False),
    help="Write overlays of the evidence for each label into this folder, with a contact sheet of the strongest of "
    "each class; needs a model exported with --heatmap.",
)
def classify(
    files_or_folders: tuple[Path, ...],
    model: Path | None,
    device: str,
    batch_size: int | None,
    form: str,
    output: Path | None,
    resume: bool,
    profile: bool,
    lenient: bool,
    mark_trained: bool,
    bits: int | None,
    heatmaps: Path | None,
) -> None:
    """Classify images, or all images below folders, with an exported model: one row per image."""
    if resume and output is None:
        raise click.UsageError("--resume continues a file: give --output too")

    import contextlib
    import sys
    import time
    from collections import Counter

    from allkit import Classifier
    from allkit.cli.output import WRITERS, opened, terminated_as_interrupt
    from allkit.cli.terminal import say
    from allkit.runtime.inputs import expand
    from allkit.runtime.overlay import OverlayFolder
    from allkit.support.files import check_folder, check_replaceable, check_text_file

    if output:
        check_replaceable(output)
    if heatmaps:
        check_folder(heatmaps)
    paths = expand(files_or_folders)
    classifier = Classifier(
        model,
        device=device,
        batch_size=batch_size,
        heatmaps=heatmaps is not None,
        lenient=lenient,
        bits=bits,
        mark_trained=mark_trained,
    )
    optional = ["trained_on"] * mark_trained + ["warning"] * lenient
    if output:
        check_text_file(output, [classifier.model_path, *paths])
    overlays = OverlayFolder(heatmaps, paths, classifier.contract, bits) if heatmaps else None
    if classifier.notice:
        say(classifier.notice, err=True)
    counts: Counter[str | None] = Counter()
    doubts: Counter[str] = Counter()
    damaged = trained_on = 0

    def rows():
        # Rows that run over the same terminal are progress enough.
        shown = sys.stderr.isatty() and (output is not None or not sys.stdout.isatty())
        pairs = zip(todo, classifier(todo), strict=True)
        for path, prediction in _tracked(pairs, len(todo)) if shown else pairs:
            if overlays:
                overlays.add(path, prediction)
            done.append(path)
            yield path, prediction

    def counted(rows):
        nonlocal damaged, trained_on
        for path, prediction in rows:
            counts[prediction.label] += 1
            doubts["uncertain"] += bool(prediction.uncertain)
            doubts["unfamiliar"] += bool(prediction.unfamiliar)
            damaged += prediction.warning is not None
            trained_on += prediction.trained_on is not None
            yield path, prediction

    def write(rows):
        with opened(output) as stream:
            WRITERS[form](counted(rows), classifier.contract.classes, stream, optional)

    with contextlib.ExitStack() as stack:
        journal = None
        if output:
            reading = f"--bits {bits}" + " --mark-trained" * mark_trained
            journal = stack.enter_context(_journal(output, classifier, reading, resume, overlays is not None))
        todo = journal.left(paths) if journal else paths
        if kept := len(paths) - len(todo):
            say(f"{kept} image(s) were classified before", err=True)
        done: list[Path] = []
        stopped = False
        start = time.perf_counter()
        try:
            with terminated_as_interrupt():
                if overlays and journal:
                    for path, prediction in journal.rows(paths):
                        overlays.add(path, prediction)
                if journal:
                    for path, prediction in rows():
                        journal.add(path, prediction)
                else:
                    write(rows())
        except KeyboardInterrupt:
            stopped = True
        seconds = time.perf_counter() - start
        try:
            with terminated_as_interrupt():
                if journal:
                    write(journal.rows(paths))
                if overlays:
                    sheet = overlays.write_contact_sheet()
                    say(f"heat maps: {sheet} and one file per image beside it", err=True)
        except KeyboardInterrupt:
            advice = ": the same command with --resume writes them" if output else ""
            say(f"stopped before all results were written{advice}", err=True)
            click.get_current_context().exit(130)
        if journal:
            journal.finished = not stopped

    chosen = f" ({classifier.chosen})" if classifier.chosen else ""
    summary = [f"{name}: {counts[name]}" for name in classifier.contract.classes]
    summary += [f"{doubt}: {count}" for doubt, count in doubts.items()]
    summary += [f"trained on: {trained_on}"] * mark_trained
    summary += [f"damaged: {damaged}"] * lenient + [f"not read: {counts[None]}"]
    say(
        f"\n{'  '.join(summary)}\n"
        f"{len(done)} image(s), {len(done) / seconds:.1f} images/s with {classifier.model_path.name}{chosen} "
        f"on {classifier.provider}; research use; not for diagnosis",
        err=form != "table",
    )
    if profile and done:
        from allkit.cli.profile_table import print_profile
        from allkit.runtime.providers import CPU
        from allkit.runtime.tuning import stage_costs

        alone = stage_costs(classifier.model_path, done[:128]) if classifier.provider == CPU else None
        print_profile(seconds, len(done), classifier.profile.by_thread(), alone)
    if stopped:
        advice = f"; {output} holds them, the same command with --resume goes on" if output else ""
        say(f"stopped after {counts.total()} of {len(paths)} image(s){advice}", err=True)
        click.get_current_context().exit(130)
    if counts[None]:
        click.get_current_context().exit(1)


def _journal(output: Path, classifier: Classifier, reading: str, resume: bool, heatmaps: bool) -> Journal:
    from allkit.cli.journal import Journal

    made_with = f"{classifier.model_identity} {classifier.provider} {reading}"
    return Journal(output, made_with, resume, heatmaps)


def _tracked(pairs: Iterable, count: int) -> Iterable:
    # Loading rich takes as long as classifying an image.
    from rich.console import Console
    from rich.progress import track

    return track(pairs, "classifying", count, console=Console(stderr=True))

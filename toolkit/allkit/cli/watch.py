"""`allkit watch`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allkit.cli.options import NamedPath, batch_size_option, device_option, model_option, reading_options
from allkit.cli.terminal import LOG_SECONDS, say
from allkit.support.extras import require

if TYPE_CHECKING:
    from allkit.classification.job import Tally

EPILOG = """\b
Examples:
  allkit watch camera/ --output labels.csv
  allkit watch camera/ --output labels.csv --existing leave     new images only
  allkit watch //server/smears --output labels.csv --rest 10    a slow network share

An image is classified once, when its file has not changed for --rest seconds; its row is
on disk before the next begins. After whatever ended it, the same command goes on: no
image is lost, none has two rows. A folder that goes away is waited for.

Ends with exit status 130 (Ctrl-C or SIGTERM), or 2 for wrong usage or a full disk.
Research use; not for diagnosis."""


@click.command(epilog=EPILOG)
@click.argument("folder", type=NamedPath(exists=True, file_okay=False))
@click.option(
    "--output",
    type=NamedPath(dir_okay=False),
    required=True,
    help="CSV file that gets a row for each image, as from `allkit classify`, with absolute paths.",
)
@click.option(
    "--existing",
    type=click.Choice(["take", "leave"]),
    default="take",
    show_default=True,
    help="What to do with images that are there at the first start.",
)
@click.option(
    "--rest",
    "rest_s",
    type=click.FloatRange(0, 3600),
    default=2.0,
    show_default=True,
    help="Seconds without a change after which a file is whole.",
)
@model_option
@device_option
@batch_size_option
@reading_options
def watch(folder: Path, output: Path, existing: str, rest_s: float, **options: Any) -> None:
    """Classify images as they come into a folder: one row per image, each once."""
    require("watch")

    from allkit import Classifier
    from allkit.classification.ledger import Ledger
    from allkit.classification.rows import optional_columns
    from allkit.classification.watching import left_out
    from allkit.classification.watching import watch as watch_folder
    from allkit.cli.output import terminated_as_interrupt
    from allkit.support.files import check_text_file

    folder, output = folder.absolute(), output.absolute()
    check_text_file(output)
    classifier = Classifier(**options)
    if classifier.notice:
        say(classifier.notice, err=True)
    left = left_out(folder, output) if existing == "leave" else set()
    with Ledger(output, classifier.contract.classes, optional_columns(classifier)) as ledger:
        before = len(ledger.done)
        say(
            f"watching {folder} with {classifier.model_path.name} on {classifier.provider}"
            + (f"; {before:,} image(s) have a row" if before else ""),
            err=True,
        )
        report = _Report()
        try:
            with terminated_as_interrupt():
                watch_folder(classifier, ledger, folder, rest_s, left, report)
        except KeyboardInterrupt:
            say(f"stopped; {output} has {len(ledger.done):,} row(s), the same command goes on", err=True)
            click.get_current_context().exit(130)


class _Report:
    """A line a minute on stderr, of what has been classified since the start."""

    def __init__(self):
        self._last, self._done = time.monotonic(), 0

    def __call__(self, tally: Tally) -> None:
        done, now = tally.labels.total(), time.monotonic()
        if now - self._last < LOG_SECONDS:
            return
        rate = (done - self._done) / (now - self._last)
        self._last, self._done = now, done
        say(
            f"{time.strftime('%H:%M')}  {done:,} image(s), {rate:.1f} a second; {tally.uncertain:,} uncertain, "
            f"{tally.unfamiliar:,} unfamiliar, {tally.labels[None]:,} not read",
            err=True,
        )

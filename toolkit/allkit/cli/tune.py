"""`allkit tune`."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import click

from allkit.cli.options import NamedPath
from allkit.cli.terminal import say

EPILOG = """\b
Examples:
  allkit tune exported/vgg16x0.25-150-int8.onnx smears/
  allkit tune MODEL --seconds 60

The plan is saved for this user, machine, model file and version of onnxruntime, and
`allkit classify` uses it from then on."""

_IMAGES = 128


@click.command(epilog=EPILOG)
@click.argument("model", type=NamedPath(dir_okay=False))
@click.argument("files_or_folders", nargs=-1, type=Path, metavar="[FILES_OR_FOLDERS]...")
@click.option(
    "--seconds", type=click.FloatRange(1), default=20.0, show_default=True, help="Duration of the measurement."
)
def tune(model: Path, files_or_folders: tuple[Path, ...], seconds: float) -> None:
    """Find the numbers of workers and threads and the batch size that classify most images per second, and save them.

    Without images, synthetic smears are drawn for the measurement.
    """
    from rich.table import Table

    from allkit.cli.console import wide_console
    from allkit.cli.progress import ProgressDisplay
    from allkit.runtime.inputs import expand
    from allkit.runtime.session import Model
    from allkit.runtime.tuning import measure, remember
    from allkit.support.files import cache_folder

    Model(model)  # refuses an unusable file before anything is drawn or measured
    with tempfile.TemporaryDirectory(prefix="allkit-tune-") as folder:
        images = (expand(files_or_folders) if files_or_folders else _drawn(Path(folder)))[:_IMAGES]
        say(f"measuring on {len(images)} images for {seconds:g} s or more", err=True)
        with ProgressDisplay() as progress:
            rates = measure(model, images, seconds, partial(progress.update, "measuring"))
    best = next(iter(rates))
    table = Table(title="\nimages per second, from file to result")
    for column in ("workers", "threads per call", "batch size", "images/s", "relative to best"):
        table.add_column(column, justify="right")
    for plan, rate in rates.items():
        figures = (plan.workers, plan.threads, plan.batch_size, f"{rate:.1f}", f"{rate / rates[best]:.0%}")
        table.add_row(*map(str, figures), style="bold" if plan == best else "")
    wide_console().print(table)
    kept = remember(model, best)
    if kept:
        say(f"saved in {kept}; `allkit classify --model {model}` uses it on the CPU")
    else:
        where = cache_folder() or "the cache of a user without a home folder"
        say(f"not saved: cannot write {where}; set XDG_CACHE_HOME to a writable folder", err=True)


def _drawn(folder: Path) -> list[Path]:
    from allkit.data.synth import CLASSES, synthesize

    say("no images named: drawing synthetic smears", err=True)
    return sorted(synthesize(folder / "smears", _IMAGES // len(CLASSES)).rglob("*.jpg"))

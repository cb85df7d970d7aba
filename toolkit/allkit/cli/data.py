"""`allkit data`: get images to work with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from allkit.cli.audit import audit
from allkit.cli.options import NamedPath
from allkit.cli.terminal import say

SYNTH_EPILOG = """\b
Examples:
  allkit data synth smears
  allkit data synth smears --per-class 100 --size 150 --seed 7"""

DOWNLOAD_EPILOG = """\b
Examples:
  allkit data download
  export ALLKIT_DATA=$(allkit data download)      only the folder goes to standard output"""


EPILOG = """\b
Examples:
  allkit data download             the ALL set, through kagglehub
  allkit data synth smears         drawings to try things on
  allkit data audit ALL/           what an accuracy on these images is worth"""


@click.group(epilog=EPILOG)
def data() -> None:
    """Get and inspect labelled images."""


data.add_command(audit)


@data.command(epilog=SYNTH_EPILOG)
@click.argument("folder", metavar="DIR", type=NamedPath())
@click.option("--per-class", default=60, show_default=True, metavar="N", help="Images of each of the four classes.")
@click.option("--size", "size_px", default=224, show_default=True, metavar="PX", help="Width and height in pixels.")
@click.option("--seed", default=0, show_default=True, metavar="N", help="The same seed draws the same files.")
def synth(folder: Path, per_class: int, size_px: int, seed: int) -> None:
    """Draw synthetic blood smears of four classes below DIR, a new or empty folder.

    Shape and texture of the nuclei decide the class; colour alone does not. The smears are for
    trying and testing allkit and carry no medical meaning.
    """
    from allkit.cli.progress import ProgressDisplay
    from allkit.data.synth import CLASSES, synthesize
    from allkit.support.progress import counted

    total = per_class * len(CLASSES)
    with ProgressDisplay() as progress:
        synthesize(folder, per_class, size_px, seed, on_image=counted(progress, "drawing smears", total))
    say(f"drew {total} smears in {folder}: {per_class} each of {', '.join(CLASSES)}")
    # Drawings have no neighbours to keep apart, and too few of them to do it.
    say(f"next: {_train_command(folder, size_px=64, width=0.125)} --split random")


@data.command(epilog=DOWNLOAD_EPILOG)
def download() -> None:
    """Fetch the ALL image dataset (3,256 blood smears) through kagglehub and print its folder.

    It is fetched once and kept in kagglehub's cache; KAGGLEHUB_CACHE names another place for it.
    """
    from allkit.data.download import CITATION
    from allkit.data.download import download as fetch

    folder = fetch()
    click.echo(folder)
    say(f"If you publish with these images, cite:\n{CITATION}", err=True)
    say(f"next: {_train_command(folder, size_px=150, width=0.25)}", err=True)


def _train_command(folder: Path, size_px: int, width: float) -> str:
    return f"allkit train --data {shlex.quote(str(folder))} --recipe scratch --size {size_px} --width {width:g}"

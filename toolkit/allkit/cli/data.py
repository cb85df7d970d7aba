"""`allkit data`: get images to work with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from allkit.cli.audit import audit
from allkit.cli.options import NamedPath, NamedPathOrUri, path_or_uri
from allkit.cli.terminal import say

SYNTH_EPILOG = """\b
Examples:
  allkit data synth smears
  allkit data synth smears --per-class 100 --size 150 --seed 7"""

DOWNLOAD_EPILOG = """\b
Examples:
  allkit data download
  export ALLKIT_DATA=$(allkit data download)      only the folder goes to standard output"""

PACK_EPILOG = """\b
Examples:
  allkit data pack smears/ --output packed/
  allkit data pack smears/ --output packed/ --resume         add what is not there yet
  allkit data pack s3://archive/smears --output s3://archive/packed
  allkit classify packed/ --output labels.csv

Exit status 0 when all images were read, 1 when some could not be: each has its row with
the error. A folder of millions of small files is packed in parts side by side, each
sub-folder into an output of its own."""


EPILOG = """\b
Examples:
  allkit data download             the ALL set, through kagglehub
  allkit data synth smears         drawings to try things on
  allkit data audit ALL/           what an accuracy on these images is worth
  allkit data pack smears/ --output packed/    many small files into few large ones"""


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


@data.command(epilog=PACK_EPILOG)
@click.argument("given", nargs=-1, required=True, type=path_or_uri, metavar="FILES_OR_FOLDERS...")
@click.option(
    "--output", type=NamedPathOrUri(file_okay=False), required=True, help="The folder, or a URI, for the Parquet files."
)
@click.option("--resume", is_flag=True, help="Add to an output what is not in it yet.")
def pack(given: tuple[Path | str, ...], output: Path | str, resume: bool) -> None:
    """Write images into Parquet files of 128 MiB: their paths, and their files as they are.

    Millions of small files are slow to list and to read wherever they lie. `allkit classify`
    reads the Parquet files as it reads folders, with --ray and without.
    """
    from allkit.archive.listing import sources_of
    from allkit.archive.pack import pack as pack_images
    from allkit.archive.storage import place_of
    from allkit.cli.count_display import counting

    sources, target = sources_of(given), place_of(output)
    with counting() as tell:
        packing = pack_images(sources, target, resume, tell)
    if packing.before:
        say(f"{packing.before:,} image(s) were there before")
    size = f"{packing.size / 2**20:,.0f} MiB"
    say(f"packed {packing.images:,} image(s), {size}, into {packing.shards} file(s) in {target.name}")
    if packing.failed:
        say(f"{packing.failed:,} could not be read: their rows have the error", err=True, fg="yellow")
        click.get_current_context().exit(1)


def _train_command(folder: Path, size_px: int, width: float) -> str:
    return f"allkit train --data {shlex.quote(str(folder))} --recipe scratch --size {size_px} --width {width:g}"

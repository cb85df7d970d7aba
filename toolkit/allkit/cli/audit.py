"""`allkit data audit`."""

from __future__ import annotations

from pathlib import Path

import click

from allkit.cli.options import STDOUT, NamedPath, files_among, json_option, write_record

EPILOG = """\b
Examples:
  allkit data audit ALL/
  allkit data audit ALL/ --html audit.html --json audit.json
  allkit data audit ALL/ --json | jq .protocols.grouped.baselines

Exit status 0 when no errors are found, 1 when an image cannot be read or duplicates are
in more than one class."""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=NamedPath(), envvar="ALLKIT_DATA")
@click.option(
    "--near-threshold",
    type=click.IntRange(0, 127),
    default=20,
    show_default=True,
    metavar="BITS",
    help="Maximum number of differing bits, of 256, between the difference hashes of near duplicates.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="Seed of the splits.")
@click.option(
    "--block-length",
    type=click.IntRange(1),
    default=37,
    show_default=True,
    metavar="N",
    help="File numbers in a block of the grouped protocol.",
)
@json_option
@click.option(
    "--html",
    "html_file",
    type=NamedPath(dir_okay=False),
    metavar="FILE",
    help="Write one self-contained page with thumbnails of the duplicates.",
)
def audit(
    folder: Path, near_threshold: int, seed: int, block_length: int, json_file: Path | None, html_file: Path | None
) -> None:
    """Examine labelled images: unreadable files, duplicates, and the accuracy of methods that cannot see cells.

    DIR has one sub-folder of images per class (else $ALLKIT_DATA).
    """
    from allkit.auditing.job import AuditOptions
    from allkit.auditing.job import audit as audit_folder
    from allkit.cli.audit_tables import print_audit
    from allkit.cli.progress import ProgressDisplay
    from allkit.cli.terminal import say
    from allkit.data.index import scan
    from allkit.report.audit_page import audit_page
    from allkit.support.extras import require
    from allkit.support.files import check_replaceable, check_text_file, write_text

    require("report" if html_file else "eval")
    written = files_among(json_file, html_file)
    for path in written:
        check_replaceable(path)
    dataset = scan(folder)
    for path in written:
        check_text_file(path, (dataset.root / name for name in dataset.paths))
    with ProgressDisplay() as progress:
        record = audit_folder(AuditOptions(folder, near_threshold, seed, block_length), progress=progress)
    write_record(record.to_dict(), json_file)
    if json_file != STDOUT:
        print_audit(record)
        if json_file:
            say(f"wrote {json_file}", err=True)
    if html_file:
        write_text(html_file, audit_page(record))
        say(f"wrote {html_file}", err=True)
    if record.errors:
        click.get_current_context().exit(1)

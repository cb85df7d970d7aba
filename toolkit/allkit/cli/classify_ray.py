"""`allkit classify --ray`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from allkit.cli.classify import print_summary
from allkit.cli.count_display import counting
from allkit.cli.output import terminated_as_interrupt
from allkit.cli.terminal import say
from allkit.support.extras import require


def classify_on_ray(
    given: Sequence[Path | str],
    output: Path | str | None,
    address: str | None,
    resume: bool,
    columns: tuple[str, str],
    device: str,
    **options: Any,
) -> None:
    """Classify on a Ray cluster into Parquet files; ends with the exit status of `allkit classify`."""
    if output is None:
        raise click.UsageError("--ray writes Parquet files: name a folder, or a URI, with --output")
    if address and Path(address).exists():
        raise click.UsageError(f"--ray took {address} for an address: give it before --ray")
    if device not in ("auto", "cpu"):
        raise click.UsageError("with --ray each worker has a core: leave out --device")
    require("ray")

    from allkit import Classifier
    from allkit.archive.listing import sources_of
    from allkit.archive.shards import Columns
    from allkit.archive.storage import place_of
    from allkit.cluster.job import classify_on_cluster

    classifier = Classifier(device="cpu", workers=1, threads=1, **options)
    sources, target = sources_of(given), place_of(output)
    begin = time.monotonic()
    try:
        with terminated_as_interrupt(), counting() as tell:
            tally, before = classify_on_cluster(
                classifier, sources, target, address, Columns(*columns), options["batch_size"], resume, tell
            )
    except KeyboardInterrupt:
        say(f"stopped; {target.name} has what is done, the same command with --resume goes on", err=True)
        click.get_current_context().exit(130)
    if before:
        say(f"{before:,} image(s) were classified before", err=True)
    count = tally.labels.total()
    print_summary(tally, classifier, count, count - before, time.monotonic() - begin, target.name)
    if tally.labels[None]:
        click.get_current_context().exit(1)

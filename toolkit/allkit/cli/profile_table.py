"""Where the time of a classification was spent, as a table."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from allkit.cli.console import stderr
from allkit.runtime.profile import STAGES
from allkit.support.cpus import cores


def print_profile(
    seconds: float, images: int, by_thread: Mapping[str, Mapping[str, float]], alone: Mapping[str, float] | None
) -> None:
    """On stderr: milliseconds per image of each stage and thread, and the share of the limit that was reached.

    alone: seconds per image of each stage on one thread by itself; None where the model does not run on the CPU.
    """
    table = Table(title="\ntime by stage: ms per image of the whole run")
    for column in ("thread", *STAGES, "idle"):
        table.add_column(column, justify="left" if column == "thread" else "right", no_wrap=True)
    for thread, stages in by_thread.items():
        cells = [*(stages[stage] for stage in STAGES), max(0.0, seconds - sum(stages.values()))]
        table.add_row(thread, *(f"{1000 * cell / images:.3f}" for cell in cells))
    if alone is None:
        stderr.print(table)
        stderr.print(f"{images / seconds:.1f} images/s; the model does not run on the CPU: its limit is not known")
        return
    table.add_section()
    cells = (f"{1000 * alone[stage]:.3f}" if stage in alone else "-" for stage in STAGES)
    table.add_row("alone", *cells, "-")
    stderr.print(table)
    limit = cores() / sum(alone.values())
    stderr.print(
        f"{images / seconds:.1f} images/s; {cores()} core(s) over {1000 * sum(alone.values()):.3f} ms per image on one "
        f"thread allow {limit:.1f}: {images / seconds / limit:.0%} of the limit",
        soft_wrap=True,
    )

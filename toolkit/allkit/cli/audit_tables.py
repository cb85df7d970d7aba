"""Readable tables of an audit on stdout."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from allkit.auditing.audit import Audit
from allkit.auditing.text import BASELINES, PATCHES, PROTOCOLS, conclusions, counted
from allkit.cli.console import PlainConsole
from allkit.support.text import visible

_SHOWN = 10


def print_audit(audit: Audit) -> None:
    """Files, errors, duplicates, baselines and corners, then what they mean."""
    console = PlainConsole()
    console.print(f"{audit.root}, {audit.n:,} images", style="bold")
    files = Table(show_header=False, box=None)
    files.add_column(no_wrap=True)
    files.add_column()
    for name, value in (
        ("classes", _counts(audit.counts)),
        ("sizes", _counts(audit.sizes)),
        ("formats", _counts(audit.formats)),
        ("not images", str(len(audit.skipped))),
        ("unreadable", str(len(audit.unreadable))),
        (
            "exact duplicates",
            f"{counted(audit.exact_pairs, 'pair')} in {counted(len(audit.exact_duplicates), 'group')}",
        ),
        (
            "near duplicates",
            f"{counted(audit.near_pairs, 'pair')} within {audit.near_threshold} of 256 bits, in "
            f"{counted(len(audit.near_duplicates), 'group')}",
        ),
        ("across classes", counted(len(audit.cross_class), "group")),
    ):
        files.add_row(name, value)
    console.print(files)
    _list(console, "cannot be read", [f"{path}: {reason}" for path, reason in audit.unreadable.items()], "red")
    _list(console, "duplicates across classes", [" = ".join(group.paths) for group in audit.cross_class], "red")
    _list(console, "not images", [f"{path}: {reason}" for path, reason in audit.skipped.items()], "yellow")
    if audit.protocols:
        shares = Table(
            title="accuracy of the nearest training image by feature, with 95 % Wilson interval over groups",
            title_justify="left",
        )
        shares.add_column("feature")
        for name, protocol in audit.protocols.items():
            shares.add_column(f"{PROTOCOLS[name]}\nn = {protocol.n:,}\n{protocol.groups:,} groups", justify="right")
        for key, words in BASELINES.items():
            shares.add_row(words, *(protocol.baselines[key].percent() for protocol in audit.protocols.values()))
        shares.add_section()
        for key, words in PATCHES.items():
            shares.add_row(
                f"grey patch: {words}", *(protocol.patches[key].percent() for protocol in audit.protocols.values())
            )
        console.print(shares)
    console.print("\nWhat it means", style="bold")
    for paragraph in conclusions(audit):
        console.print(paragraph)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _list(console: PlainConsole, title: str, lines: list[str], style: str) -> None:
    if not lines:
        return
    console.print(f"{title}:", style=style)
    for line in lines[:_SHOWN]:
        console.print(f"  {visible(line)}", soft_wrap=True)
    if len(lines) > _SHOWN:
        console.print(f"  and {len(lines) - _SHOWN:,} more; --json lists all")

"""Lines on a terminal. A text from a file or a file name is shown, escaped where it would act on the terminal.

Apart from `console`, so that a command that prints only lines does not wait for rich.
"""

from __future__ import annotations

from typing import Any

import click

from allkit.support.text import visible_lines

# How often a log is told of long work.
LOG_SECONDS = 60.0


def say(text: object, err: bool = False, label: str = "", **style: Any) -> None:
    """A line on stdout, or with `err` on stderr. label: a red word in front. style: of the text, as `click.style`."""
    shown = visible_lines(str(text))
    start = f"{click.style(label, fg='red', bold=True)} " if label else ""
    click.echo(start + (click.style(shown, **style) if style else shown), err=err)

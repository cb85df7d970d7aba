"""Tables and progress on a terminal, by rich, without its markup: a text is what it is, wherever it comes from."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import ProgressColumn, Task
from rich.text import Text

from allkit.support.text import visible, visible_lines

_PIPE_COLUMNS = 200


class PlainConsole(Console):
    """A console on which no text is markup, an emoji or a control sequence; rich styles are given beside the text.

    What is passed as `Text` instead of `str` is taken as it is.
    """

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible_lines(text), **options)


class Description(ProgressColumn):
    """The description of a task, as it is."""

    def render(self, task: Task) -> Text:
        return Text(visible(task.description), style="none")


def wide_console() -> PlainConsole:
    """Standard output for a table of many columns or of whole paths: a pipe is not folded at 80 columns."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=_PIPE_COLUMNS)


stderr = PlainConsole(stderr=True)

"""A table of words, for pages and Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from allkit.support.text import markdown


@dataclass(frozen=True)
class Table:
    """A table of words. note: what has to be known to read it."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""

    @property
    def markdown(self) -> list[str]:
        """The lines of the table itself."""
        rows = [self.header, ("---",) * len(self.header), *self.rows]
        return [f"| {' | '.join(map(markdown, row))} |" for row in rows]

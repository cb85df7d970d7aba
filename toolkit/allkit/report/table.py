"""A table of words, for pages and Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from allkit.metrics import SIGNIFICANT, least_difference
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
        """The lines of the table and its note."""
        rows = [self.header, ("---",) * len(self.header), *self.rows]
        lines = [f"| {' | '.join(map(markdown, row))} |" for row in rows]
        return [*lines, "", markdown(self.note)] if self.note else lines


# The columns of `pair_row`.
PAIR_HEADER = ("A", "B", "n", "only A right : only B right", "p", "significant")


def pair_row(a: str, b: str, n: str, only_a_right: int, only_b_right: int, p: float) -> tuple[str, ...]:
    """A paired test as a row: two names, the number of images, the discordant pairs and the adjusted p value."""
    told = "< 0.001" if p < 0.001 else f"{p:.3f}"
    return a, b, n, f"{only_a_right} : {only_b_right}", told, "yes" if p < SIGNIFICANT else "no"


def not_shown(tests: Iterable[tuple[int, int, int]]) -> str:
    """What paired tests that found nothing leave open: the smallest difference that so many images could have shown.

    tests: for each the numbers of images and of groups, and of all pairs that p was adjusted for. Empty without any.
    """
    told = []
    for n, groups, pairs in sorted(set(tests)):
        least = least_difference(n, groups, pairs)
        reach = f"{least:.2%}, were all of it in favour of one" if least else "none, whatever its size"
        told.append(f"{n:,} images in {groups:,} groups could have shown is {reach}")
    return f' "No" is not "equal": the smallest difference that {"; ".join(told)}.' if told else ""

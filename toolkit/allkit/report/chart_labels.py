"""Where the words of a chart stand: beside what they name, on nothing else, with a leader where that is not near.

All lengths are pixels of the drawing, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from allkit.report.frame import escaped

# Of the text, rather more than its mean width, and its height.
_CHARACTER, LINE = 6.6, 14
# How many pixels farther off is as bad as a line or whisker behind the words, for each piece of it.
_CROSSED = 8


def width(text: str) -> float:
    """How far the words reach, rather more than less."""
    return _CHARACTER * len(text)


@dataclass(frozen=True)
class Box:
    """What a mark, a label or a piece of a line covers."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two have a place in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def within(self, other: Box) -> bool:
        """Whether the other covers it."""
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


class Labels:
    """Places for words inside `plot`: they hide no mark and no other words, and cross as few lines as they can."""

    def __init__(self, plot: Box):
        self._plot = plot
        self._solid: list[Box] = []
        self._thin: list[Box] = []

    def mark(self, x: float, y: float) -> None:
        """Keep the place of a mark."""
        self._solid.append(Box(x - 6, y - 6, x + 6, y + 6))

    def line(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Note a line or a whisker, in pieces as wide as it is thick and some air."""
        pieces = max(1, round(math.hypot(x1 - x0, y1 - y0) / 4))
        places = ((x0 + (x1 - x0) * i / pieces, y0 + (y1 - y0) * i / pieces) for i in range(pieces + 1))
        self._thin += [Box(x - 2, y - 2, x + 2, y + 2) for x, y in places]

    def beside(self, x: float, y: float, text: str) -> str:
        """The words for the mark at (x, y), on its right or left; their place is taken then."""
        aways = range(-20 * LINE, 20 * LINE + 1, LINE // 2)
        places = [(away, left) for away in aways for left in (x + 9, x - 9 - width(text))]
        boxes = {Box(left, y + away - 6, left + width(text), y + away + 7): abs(away) for away, left in places}

        def badness(box: Box) -> tuple[bool, int, float]:
            hidden = sum(map(box.meets, self._solid))
            return not box.within(self._plot), hidden, boxes[box] + _CROSSED * sum(map(box.meets, self._thin))

        box = min(boxes, key=badness)
        self._solid.append(box)
        right = box.left > x
        return _words(x, y, box.left if right else box.right, box.bottom - 3, text, "start" if right else "end")


def column(ends: Sequence[tuple[float, float, str]], left: float, plot: Box) -> Iterator[str]:
    """Names of lines one below the other from `left` on, as near to the ends (x, y) of their lines as there is room."""
    ends = sorted(ends, key=lambda end: end[1])
    heights: list[float] = []
    for _, y, _ in ends:
        heights.append(max(y, heights[-1] + LINE) if heights else y)
    limit = plot.bottom
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], limit)
        limit = heights[i] - LINE
    for (x, y, name), height in zip(ends, heights, strict=True):
        yield _words(x, y, left, height + 4, name, "start")


def _words(x: float, y: float, place: float, base: float, text: str, anchor: str) -> str:
    """Words from or up to `place`, with a leader from the mark at (x, y) where that is more than a text line away."""
    leader = ""
    if abs(base - 4 - y) > LINE or abs(place - x) > 9:
        towards = 1 if anchor == "start" else -1
        leader = f'<path class="leader" d="M{x + 7 * towards:.1f} {y:.1f}L{place - 3 * towards:.1f} {base - 4:.1f}"/>'
    return f'{leader}<text x="{place:.1f}" y="{base:.1f}" text-anchor="{anchor}">{escaped(text)}</text>'

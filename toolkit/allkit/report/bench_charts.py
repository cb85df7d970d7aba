"""Charts as SVG that follows the colours of the page around it.

Every chart has a title and a description for those who do not see it. Marks differ in shape, not in colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from allkit.report.chart_labels import Box, Labels, column, width
from allkit.report.frame import escaped

_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 18, 16, 52
# Shapes and colours.
_KINDS = 5

STYLE = """
.chart{width:100%;max-width:44rem;height:auto;display:block;overflow:visible}
.chart text{font:12px system-ui,sans-serif;fill:var(--ink);stroke:var(--paper);stroke-width:3px;paint-order:stroke}
.chart .soft{fill:var(--soft)}
.chart .grid{stroke:var(--line);stroke-width:1}
.chart .c0{--mark:var(--one)}.chart .c1{--mark:var(--two)}.chart .c2{--mark:var(--three)}.chart .c3{--mark:var(--four)}
.chart .c4{--mark:var(--ink)}
.chart .mark{fill:var(--mark);stroke:var(--mark)}
.chart .line{fill:none;stroke:var(--mark);stroke-width:2}
.chart .whisker{stroke:var(--mark);stroke-width:1.5}
.chart .leader{fill:none;stroke:var(--soft);stroke-width:1}
.chart .front{fill:none;stroke:var(--soft);stroke-width:1.5;stroke-dasharray:5 4}
"""


@dataclass(frozen=True)
class Point:
    """A mark at (x, y). low, high: its interval in y. label: beside it.

    kind: 0 to 4, its shape and colour; a line whose points have kind 0 takes the next one.
    """

    x: float
    y: float
    label: str = ""
    low: float | None = None
    high: float | None = None
    kind: int = 0


@dataclass(frozen=True)
class Axis:
    """A scale and its name. ticks: values to mark, None chooses them. log: logarithmic. form: how they are written."""

    name: str
    log: bool = False
    form: Callable[[float], str] = "{:g}".format
    ticks: Sequence[float] | None = None


def scatter(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    title: str,
    text: str,
    front: Sequence[tuple[float, float]] = (),
    lines: Mapping[str, Sequence[Point]] | None = None,
) -> str:
    """Marks with intervals; front: corners of a dashed line; lines: named series joined by a line."""
    lines = lines or {}
    every = [*points, *(point for series in lines.values() for point in series)]
    ys = [value for point in every for value in (point.y, point.low, point.high) if value is not None]
    # Lines that go on to the right end have their names there, in a column of its own.
    end = max(point.x for point in every)
    names = {name for name, series in lines.items() if series[-1].x == end}
    # A very long name runs over the edge rather than leave no room for the lines.
    left = max(_WIDTH / 2, _WIDTH - _RIGHT - max(map(width, names), default=0))
    across = _Scale([point.x for point in every], x, _LEFT, left - 8 if names else left)
    up = _Scale(ys, y, _HEIGHT - _BOTTOM, _TOP)
    plot = Box(_LEFT, 0, _WIDTH - 2, _HEIGHT - _BOTTOM)
    labels = Labels(plot)
    body = list(_axes(across, up))
    if front:
        path = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in front)
        body.append(f'<polyline class="front" points="{path}"/>')
    for place, series in enumerate(lines.values()):
        kind = series[0].kind or place
        path = " ".join(f"{across(p.x):.1f},{up(p.y):.1f}" for p in series)
        body.append(f'<g class="c{kind % _KINDS}"><polyline class="line" points="{path}"/>')
        body += [_mark(across(p.x), up(p.y), kind) for p in series]
        body += [_whisker(across(p.x), up(p.low), up(p.high)) for p in series if p.low is not None]
        body.append("</g>")
    for point in every:
        labels.mark(across(point.x), up(point.y))
        if point.low is not None:
            labels.line(across(point.x), up(point.low), across(point.x), up(point.high))
    for line in (*lines.values(), [Point(*corner) for corner in front]):
        for a, b in pairwise(line):
            labels.line(across(a.x), up(a.y), across(b.x), up(b.y))
    ends = [(across(series[-1].x), up(series[-1].y), name) for name, series in lines.items()]
    body += column([end for end in ends if end[2] in names], left, plot)
    body += [labels.beside(*end) for end in ends if end[2] not in names]
    for point in sorted(points, key=lambda point: point.y):
        place, height = across(point.x), up(point.y)
        body.append(f'<g class="c{point.kind % _KINDS}">')
        if point.low is not None:
            body.append(_whisker(place, up(point.low), up(point.high)))
        body.append(_mark(place, height, point.kind) + "</g>")
        if point.label:
            body.append(labels.beside(place, height, point.label))
    return _svg(body, title, text)


def distributions(series: Mapping[str, Sequence[float]], x: Axis, title: str, text: str) -> str:
    """A strip a name: the middle half as a box, the median in it, every value as a tick below it."""
    height = _TOP + _BOTTOM + 46 * len(series)
    across = _Scale([value for values in series.values() for value in values], x, 16, _WIDTH - _RIGHT)
    body = list(_axes(across, None, height))
    for i, (name, values) in enumerate(series.items()):
        top = _TOP + 46 * i
        ordered = sorted(values)
        quarter, middle, three = (across(ordered[int(share * (len(ordered) - 1))]) for share in (0.25, 0.5, 0.75))
        body.append(f'<g class="c0"><text x="16" y="{top + 11}">{escaped(name)}</text>')
        body.append(f'<rect class="mark" fill-opacity=".3" x="{quarter:.1f}" y="{top + 17}" height="12" ')
        body[-1] += f'width="{max(1.0, three - quarter):.1f}"/>'
        body.append(f'<path class="whisker" d="M{middle:.1f} {top + 15}v16"/>')
        step = max(1, len(ordered) // 400)
        ticks = "".join(f"M{across(value):.1f} {top + 32}v6" for value in [*ordered[::step], ordered[-1]])
        body.append(f'<path class="whisker" stroke-opacity=".5" d="{ticks}"/></g>')
    return _svg(body, title, text, height)


def log_limits(low: float, high: float) -> tuple[float, float]:
    """The ends of a logarithmic axis for values from low to high: with room beside them, and a tick at 1, 2 or 5."""
    # Those lie at most a factor of 2.5 apart.
    room = max(1.25, math.sqrt(2.6 * low / high))
    return low / room, high * room


class _Scale:
    """Values to pixels."""

    def __init__(self, values: Sequence[float], axis: Axis, start: float, end: float):
        self.axis, self._start, self.end = axis, start, end
        low, high = min(values), max(values)
        self._map = math.log10 if axis.log else float
        if axis.log:
            low, high = log_limits(low, high)
        else:
            room = (high - low or abs(high) or 1) * 0.08
            low, high = low - room, high + room
        self._low, self._high = self._map(low), self._map(high)
        self.ticks = [tick for tick in (axis.ticks or self._chosen()) if low <= tick <= high]

    def __call__(self, value: float) -> float:
        share = (self._map(value) - self._low) / (self._high - self._low)
        return self._start + share * (self.end - self._start)

    def _chosen(self) -> list[float]:
        if self.axis.log:
            powers = range(math.floor(self._low), math.ceil(self._high) + 1)
            return [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        step = 10 ** math.floor(math.log10((self._high - self._low) / 4))
        step *= next(factor for factor in (1, 2, 5, 10) if (self._high - self._low) / (factor * step) <= 6)
        return [step * i for i in range(math.ceil(self._low / step), math.floor(self._high / step) + 1)]


def _axes(across: _Scale, up: _Scale | None, height: int = _HEIGHT) -> Iterable[str]:
    bottom = height - _BOTTOM
    for tick in across.ticks:
        yield f'<path class="grid" d="M{across(tick):.1f} {_TOP}V{bottom}"/>'
        yield f'<text x="{across(tick):.1f}" y="{bottom + 17}" text-anchor="middle">{across.axis.form(tick)}</text>'
    name = escaped(across.axis.name)
    yield f'<text class="soft" x="{(_LEFT + across.end) / 2:.1f}" y="{height - 10}" text-anchor="middle">{name}</text>'
    for tick in up.ticks if up else ():
        yield f'<path class="grid" d="M{_LEFT} {up(tick):.1f}H{across.end:.1f}"/>'
        yield f'<text x="{_LEFT - 7}" y="{up(tick) + 4:.1f}" text-anchor="end">{up.axis.form(tick)}</text>'
    if up:
        middle = (bottom + _TOP) / 2
        yield f'<text class="soft" transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
        yield f"{escaped(up.axis.name)}</text>"


def _mark(x: float, y: float, kind: int) -> str:
    shapes = (
        f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>',
        f'<rect class="mark" x="{x - 4.2:.1f}" y="{y - 4.2:.1f}" width="8.4" height="8.4"/>',
        f'<path class="mark" d="M{x:.1f} {y - 5.5:.1f}l5.2 9h-10.4z"/>',
        f'<path class="mark" d="M{x:.1f} {y - 5.8:.1f}l5.8 5.8l-5.8 5.8l-5.8 -5.8z"/>',
        f'<path class="mark" d="M{x - 5.2:.1f} {y - 4.5:.1f}h10.4l-5.2 9z"/>',
    )
    return shapes[kind % _KINDS]


def _whisker(x: float, low: float, high: float) -> str:
    return f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8"/>'


def _svg(body: Iterable[str], title: str, text: str, height: int = _HEIGHT) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escaped(title)}</title><desc>{escaped(text)}</desc>{''.join(body)}</svg>"
    )

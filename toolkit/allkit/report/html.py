"""Pages from templates: one file each, without scripts or anything to load, so that it can be mailed and printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from allkit.charts.chart import Chart
from allkit.metrics import Interval
from allkit.support.text import visible_lines

# A figure, with a unit, an interval or remarks behind it, or what stands where there is none.
_NUMBER = re.compile(r"(-|not run|[-+<]?\s?[\d.,]+(\s?%)?(\s?[\[(/:].*)?)", re.DOTALL)


@dataclass(frozen=True)
class Verdict:
    """What a page begins with. figures: up to three values, as words, with what they are. sentence: what they mean."""

    figures: Sequence[tuple[str, str]]
    sentence: str


def as_figure(accuracy: Interval) -> tuple[str, str]:
    """An accuracy with its interval, as a figure of a verdict."""
    return (
        f"{100 * accuracy.value:.1f} %",
        f"accuracy, 95 % interval {100 * accuracy.low:.1f} to {100 * accuracy.high:.1f} %",
    )


def render(template: str, **values: Any) -> str:
    """A page as text. Every text in it is escaped, and shown as what it is."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("allkit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["numeric_columns"] = numeric_columns
    return environment.get_template(template).render(values)


def numeric_columns(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Whether a column holds figures alone, which are aligned at the right."""
    return [all(_NUMBER.fullmatch(str(cell)) for cell in column) for column in zip(*rows, strict=True)]


def _shown(value: Any) -> Any:
    """A value as it is written, before it is escaped; a per cent sign stays with its number."""
    # Markup is what is HTML already.
    return visible_lines(value).replace(" %", "\N{NO-BREAK SPACE}%") if type(value) is str else value


def inline(chart: Chart, title: str, words: str) -> Any:
    """A chart as HTML. words: what it shows, for those who cannot see it."""
    from markupsafe import Markup

    return Markup(chart.inline(title, words))

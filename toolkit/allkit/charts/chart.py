"""A chart that can be saved as a file, or put into a page whose colours it takes, dark ones too.

Matplotlib is imported when a chart is drawn, not before.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from allkit.errors import AllkitError
from allkit.support.files import replacing
from allkit.support.text import visible_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT, GRID, BACKGROUND = "#1b2230", "#596273", "#d9dde4", "#fefefe"
COLOURS = ("#2f62b8", "#b4470d", "#1d7a5f", "#7a3fa3", "#8a6d00")
# What a page calls the same colours.
_VARIABLES = {
    INK: "ink",
    SOFT: "soft",
    GRID: "line",
    **dict(zip(COLOURS, ("one", "two", "three", "four", "five"), strict=True)),
    BACKGROUND: "paper",
}
_DPI = 200


@dataclass(frozen=True)
class Chart:
    """draw: what puts the artists onto an empty figure. inches: width and height; text is 10.5 points high."""

    draw: Callable[[Figure], None]
    inches: tuple[float, float] = (6.0, 3.6)

    def save(self, path: Path) -> None:
        """Write a .svg, with text as text, or a .png of 200 pixels per inch; the same bytes for the same chart."""
        form = "svg" if path.suffix.lower() == ".svg" else "png"
        with replacing(path) as temporary:
            temporary.write_bytes(self._render(form, BACKGROUND))

    def inline(self, title: str, words: str) -> str:
        """An <svg> element in the colours of the page around it. words: what it shows, for those who cannot see it."""
        svg = self._render("svg", "none").decode()
        svg = svg[svg.index("<svg") :]
        # Names that nothing refers to; on a page with several charts they would not be unique.
        svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)
        for colour, variable in _VARIABLES.items():
            svg = svg.replace(colour, f"var(--{variable})")
        told = f"<title>{_text(title)}</title><desc>{_text(words)}</desc>"
        box = re.search(r'viewBox="[^"]*"', svg)[0]
        return f'<svg class="chart" role="img" {box}>{told}{svg[svg.index(">") + 1 :]}'

    def _render(self, form: str, background: str) -> bytes:
        figure_class, rc_context = _matplotlib()
        stream = io.BytesIO()
        with rc_context(_style(background)):
            figure = figure_class(figsize=self.inches, layout="constrained")
            self.draw(figure)
            nothing = dict.fromkeys(("Creator", "Date", "Format", "Type")) if form == "svg" else None
            figure.savefig(stream, format=form, dpi=_DPI, metadata=nothing)
        return stream.getvalue()


def check_matplotlib() -> None:
    """Raise AllkitError where charts cannot be drawn."""
    _matplotlib()


def _matplotlib():
    """Matplotlib's figure and `rc_context`.

    It keeps what it knows of the fonts in a folder of the user. Where that cannot be written, in a container for
    instance, it makes a temporary one and warns on stderr; for a chart that makes no difference.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except OSError as error:
        raise AllkitError("Matplotlib has no working folder: set MPLCONFIGDIR to a writable folder") from error
    finally:
        logger.setLevel(level)
    return Figure, rc_context


def _style(background: str) -> dict[str, object]:
    return {
        "axes.axisbelow": True,
        "axes.edgecolor": SOFT,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.labelcolor": SOFT,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": INK,
        "axes.titlesize": "medium",
        "figure.facecolor": background,
        "font.family": "sans-serif",
        "font.size": 10.5,
        "grid.color": GRID,
        "legend.edgecolor": GRID,
        "legend.facecolor": BACKGROUND,
        "legend.fontsize": "small",
        "savefig.facecolor": background,
        "svg.fonttype": "none",
        "svg.hashsalt": "allkit",
        "text.color": INK,
        "text.parse_math": False,
        "xtick.color": SOFT,
        "xtick.labelcolor": INK,
        "ytick.color": SOFT,
        "ytick.labelcolor": INK,
    }


def _text(words: str) -> str:
    return escape(visible_lines(words))

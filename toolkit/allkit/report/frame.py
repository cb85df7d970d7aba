"""The frame of an HTML page that needs no other file, so that it can be mailed, archived and printed.

Styles are inside and there is no script. Every text that comes from elsewhere goes through `text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from allkit.support.text import visible_lines

_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b2230;--soft:#596273;--line:#d9dde4;--fill:#f3f5f8;--bar:#3867b5;
--bad:#b3261e;--bad-fill:#fcecea;
--one:#2f62b8;--two:#b4470d;--three:#1d7a5f;--four:#7a3fa3}
@media(prefers-color-scheme:dark){:root{--paper:#14171d;--ink:#e7eaf0;--soft:#a2abba;--line:#343a46;--fill:#1d222b;
--bar:#7ea6ea;--bad:#ff8a80;--bad-fill:#3a1d1b;--one:#7ea6ea;--two:#f0a06b;--three:#6fcfae;--four:#c79bee}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1.5rem 1rem 3rem;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:0;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem}
h3{font-size:1rem;margin:1.4rem 0 .4rem}
p{margin:.5rem 0;max-width:46rem}
.soft,figcaption{color:var(--soft)}
.soft,figcaption,td,th{font-size:.9rem}
.bad{color:var(--bad);background:var(--bad-fill);border-left:4px solid var(--bad);padding:.4rem .8rem}
code,li{overflow-wrap:anywhere}
.wide{overflow-x:auto}
.row{display:flex;flex-wrap:wrap;gap:.5rem 2rem;align-items:start}
figure{margin:0}
caption{text-align:left;font-size:.9rem;color:var(--soft)}
figcaption{font-size:.75rem;overflow-wrap:anywhere;line-height:1.25}
table{border-collapse:collapse;margin:.3rem 0}
th,td{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--fill:#f3f3f3;--bar:#3867b5;--bad:#900;
--bad-fill:#fff;--one:#2f62b8;--two:#b4470d;--three:#1d7a5f;--four:#7a3fa3}
body{max-width:none;padding:0;font-size:10pt}h2{break-after:avoid}.bar,.bar i{print-color-adjust:exact}}
"""


def document(title: str, style: str, body: Iterable[str]) -> str:
    """A whole page. style: CSS beyond that of every page. body: HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n"
        "</body>\n</html>\n"
    )


def confusion(metrics: Mapping[str, Any], caption: str = "") -> Iterator[str]:
    """The confusion matrix of a record of metrics as a table: rows are the truth, columns the prediction."""
    names = list(metrics["per_class"])
    named = f"<caption>{text(caption)}</caption>" if caption else ""
    yield f"<table>{named}<tr><th>truth \N{RIGHTWARDS ARROW} prediction</th>"
    yield "".join(f'<th class="number">{text(name)}</th>' for name in names) + '<th class="number">recall</th></tr>'
    for name, counts in zip(names, metrics["confusion"], strict=True):
        recall = metrics["per_class"][name]["recall"]
        cells = [*map(str, counts), f"{recall['value']:.1%}" if recall else "-"]
        yield f"<tr><th>{text(name)}</th>{numbers(cells)}</tr>"
    yield "</table>"


def numbers(words: Iterable[str]) -> str:
    """Cells of a table, to be read as figures."""
    return "".join(f'<td class="number">{text(word)}</td>' for word in words)


def text(words: str) -> str:
    """A text as HTML, as `escaped`; a per cent sign is kept with its number."""
    return escaped(words).replace(" %", "\N{NO-BREAK SPACE}%")


def escaped(words: str) -> str:
    """A text as HTML or SVG: no tag is in it, nor a character that a browser does not show or a file cannot hold."""
    return escape(visible_lines(words))

"""A report as one HTML page and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allkit.benchmark.record.record import by_size
from allkit.report.bench_charts import STYLE, Axis, Point, scatter
from allkit.report.bench_page import against_size
from allkit.report.frame import confusion, document, text
from allkit.report.sources import Sources, Training
from allkit.report.tables import Table, tables
from allkit.support.text import markdown

_HONESTY = (
    "For research; not for diagnosis. A figure measured on one public dataset says how well a model fits that dataset; "
    "it is no evidence of clinical value."
)
_PAPER = (
    "The paper: Najjar et al. 2025, Acute Lymphoblastic Leukemia Classification Using Modified VGG16 Architecture, "
    "Iraqi Journal of Science."
)


def as_markdown(sources: Sources, title: str, notes: Sequence[str] = ()) -> str:
    """The tables, for a README or a repository. notes: paragraphs that end it."""
    lines = [f"# {title}", "", _HONESTY, ""]
    for table in tables(sources):
        rows = [map(markdown, table.header), ("---",) * len(table.header), *(map(markdown, row) for row in table.rows)]
        lines += [f"## {table.title}", "", *(f"| {' | '.join(row)} |" for row in rows), ""]
        lines += [markdown(table.note), ""] if table.note else []
    return "\n".join([*lines, *(line for words in (*notes, _PAPER) for line in (words, ""))])


def as_html(sources: Sources, title: str, notes: Sequence[str] = ()) -> str:
    """The tables, and Figures 2 and 3 of the paper: learning curves and confusion matrices. notes: as in Markdown."""
    body = [f"<h1>{text(title)}</h1>", f"<p>{text(_HONESTY)}</p>"]
    for table in tables(sources):
        body += _table(table)
    if sources.measured:
        body += against_size(by_size([row for row, _ in sources.measured]))
    for training in sources.trainings:
        body += _figures(training)
    body += [f'<p class="soft">{text(words)}</p>' for words in (*notes, _PAPER)]
    return document(title, STYLE, body)


def _table(table: Table) -> Iterator[str]:
    yield f'<h2>{text(table.title)}</h2><div class="wide"><table>'
    yield f"<tr>{''.join(f'<th>{text(name)}</th>' for name in table.header)}</tr>"
    for row in table.rows:
        yield f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>"
    yield f'</table></div><p class="soft">{text(table.note)}</p>'


def _figures(training: Training) -> Iterator[str]:
    yield f"<h2>{text(training.name)}</h2>"
    if training.history:
        lines = {
            name: [Point(row["epoch"], row[column]) for row in training.history]
            for name, column in (("training (augmented)", "accuracy"), ("validation", "validation_accuracy"))
        }
        last = training.history[-1]
        words = f"after {last['epoch']:.0f} epochs training {last['accuracy']:.2%}, "
        words += f"validation {last['validation_accuracy']:.2%}"
        axes = Axis("epoch"), Axis("accuracy", form="{:.1%}".format)
        yield f"<figure>{scatter([], *axes, 'Accuracy by epoch', words, lines=lines)}"
        yield f"<figcaption>Accuracy by epoch: {text(words)}.</figcaption></figure>"
    yield from confusion(training.record["metrics"])

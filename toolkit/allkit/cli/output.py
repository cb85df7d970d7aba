"""Where `allkit classify` writes its rows: a table, CSV or JSON lines, on stdout or in a file."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from allkit.classification.rows import ENCODING, Rows, Writer, row_file, write_csv, write_jsonl
from allkit.errors import AllkitError
from allkit.support.text import visible

# The bytes of a name that are no UTF-8, but for those that are control characters to a terminal of eight bits.
_BYTES = re.compile("([\udca0-\udcff]+)")


def write_table(rows: Rows, classes: Sequence[str], stream: TextIO, optional: Sequence[str] = ()) -> None:
    """Aligned columns that appear row by row; the path comes last so that no length of it is cut or breaks them."""
    names = [visible(name) for name in classes]
    first = max(map(len, ("not read", *names)))
    widths = [len("confidence"), *(max(6, len(name)) for name in names), len("uncertain unfamiliar")]

    def line(label: str, cells: Iterable[str], path: str, **style: bool | str) -> None:
        middle = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo(click.style(f"{label.ljust(first)}  {middle}  {_one_line(path)}", **style), stream)

    line("label", ["confidence", *names, "flags"], "path", bold=True)
    for path, prediction in rows:
        if prediction.error is not None:
            line("not read", [""] * len(widths), f"{path} ({prediction.error})", fg="red")
        else:
            numbers = [prediction.confidence, *prediction.probabilities.values()]
            marks = [word for word in ("uncertain", "unfamiliar") if getattr(prediction, word)]
            marks += [f"trained on ({prediction.trained_on})"] if prediction.trained_on else []
            cells = [*(f"{number:.4f}" for number in numbers), " ".join(marks)]
            name = f"{path} (damaged: {prediction.warning})" if prediction.warning else str(path)
            style = {"fg": "yellow"} if marks or prediction.warning else {}
            line(visible(prediction.label), cells, name, **style)


WRITERS: dict[str, Writer] = {"table": write_table, "csv": write_csv, "jsonl": write_jsonl}


@contextmanager
def opened(output: Path | None) -> Iterator[TextIO]:
    """UTF-8 text to stdout, or to a file that takes its name only when all has gone well."""
    if output is None:
        if sys.stdout is None:
            raise AllkitError("standard output is closed: give --output FILE")
        stream = click.get_text_stream("stdout", **ENCODING)
        yield stream
        # Here, where a failure still meets its handler, rather than at interpreter exit.
        stream.flush()
    else:
        with row_file(output) as stream:
            yield stream


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, by KeyboardInterrupt."""

    def interrupt(*_):
        raise KeyboardInterrupt

    # Elsewhere than in the main thread no handler can be set, and no signal arrives.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _one_line(path: str) -> str:
    """A path in a row of the table, which stays one row whatever the path holds."""
    return "".join(part if i % 2 else visible(part) for i, part in enumerate(_BYTES.split(path)))

"""Where `allkit classify` writes its rows: a table, CSV, JSON lines or Parquet, on stdout or in a file."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from allkit.classification.rows import ENCODING, Rows, Writer, row_file, write_csv, write_jsonl, write_parquet
from allkit.errors import AllkitError
from allkit.support.text import shortened, visible

# How many characters of a path a row shows at least, and how many its column has where it is whole.
_LEAST_PATH, _PIPED_PATH = 20, 40

# The bytes of a name that are no UTF-8, but for those that are control characters to a terminal of eight bits.
_BYTES = re.compile("([\udca0-\udcff]+)")


def write_table(rows: Rows, classes: Sequence[str], stream: TextIO, optional: Sequence[str] = ()) -> None:
    """Aligned columns that appear row by row: path, label, confidence, and what to look at.

    On a terminal a long path is shortened in the middle, so that a row fits its width; elsewhere it is whole.
    """
    width = max(map(len, ("not read", *map(visible, classes))))
    room = shutil.get_terminal_size().columns - len(f"  {'':{width}}  confidence  uncertain unfamiliar")
    most = max(_LEAST_PATH, room) if stream.isatty() else None

    def line(path: str, label: str, confidence: str, rest: str, **style: bool | str) -> None:
        shown = path if most is None else shortened(path, most)
        row = f"{_one_line(shown.ljust(most or _PIPED_PATH))}  {label.ljust(width)}  {confidence:>10}  {rest}"
        click.echo(click.style(row.rstrip(), **style), stream)

    line("path", "label", "confidence", "", bold=True)
    for path, prediction in rows:
        if prediction.error is not None:
            line(str(path), "not read", "", _one_line(prediction.error), fg="red")
        else:
            marks = [word for word in ("uncertain", "unfamiliar") if getattr(prediction, word)]
            marks += [f"trained on ({prediction.trained_on})"] if prediction.trained_on else []
            marks += [f"damaged: {_one_line(prediction.warning)}"] if prediction.warning else []
            confidence, style = f"{prediction.confidence:.4f}", {"fg": "yellow"} if marks else {}
            line(str(path), visible(prediction.label), confidence, " ".join(marks), **style)


WRITERS: dict[str, Writer] = {"table": write_table, "csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


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

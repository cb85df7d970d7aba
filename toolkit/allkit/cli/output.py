"""Rows of predictions as a table, CSV or JSON lines, on stdout or in a file that is whole or not there."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TextIO

import click

from allkit.errors import AllkitError
from allkit.runtime.classifier import Prediction
from allkit.support.csvtext import path_field, text_field, write_rows
from allkit.support.files import replacing
from allkit.support.text import visible

Rows = Iterable[tuple[Path, Prediction]]
Writer = Callable[[Rows, Sequence[str], TextIO, Sequence[str]], None]

# A file name need not be valid UTF-8; it is written as the bytes that the file system has, but for those that are
# control characters to a terminal of eight bits.
_ENCODING = {"encoding": "utf-8", "errors": "surrogateescape"}
_BYTES = re.compile("([\udca0-\udcff]+)")


# Fields that a row has only where they were asked for.
OPTIONAL = ("trained_on", "warning")


def columns(classes: Sequence[str], optional: Sequence[str] = ()) -> list[str]:
    """The names of the fields of a row; optional: those of `OPTIONAL` that were asked for, which come last."""
    return ["path", "label", "confidence", *classes, "error", "prediction_set", "uncertain", "unfamiliar", *optional]


def write_csv(rows: Rows, classes: Sequence[str], stream: TextIO, optional: Sequence[str] = ()) -> None:
    """One line per image under a header, a prediction set as `Early|Pre`; what an image does not have is empty.

    No field is a formula to a spreadsheet, see `csvtext`. On a terminal names are shown, never obeyed.
    """
    names = columns(classes, optional)
    lines = chain([names], (_fields(_record(path, prediction, classes), names) for path, prediction in rows))
    write_rows(stream, map(_shown, lines) if stream.isatty() else lines)


def write_jsonl(rows: Rows, classes: Sequence[str], stream: TextIO, optional: Sequence[str] = ()) -> None:
    """One JSON object per line with the names of the CSV columns, the prediction set as a list; null if undefined."""
    for path, prediction in rows:
        record = _record(path, prediction, classes)
        stream.write(json.dumps({name: record[name] for name in columns(classes, optional)}) + "\n")


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
        stream = click.get_text_stream("stdout", **_ENCODING)
        yield stream
        # Here, where a failure still meets its handler, rather than at interpreter exit.
        stream.flush()
    else:
        with replacing(output) as temporary, temporary.open("w", newline="", **_ENCODING) as stream:
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


def _fields(record: dict, names: Sequence[str]) -> list:
    if record["prediction_set"] is not None:
        record["prediction_set"] = "|".join(record["prediction_set"])
    return [path_field(record["path"]), *(_field(record[name]) for name in names[1:])]


def _shown(fields: Sequence) -> list:
    return [visible(value) if isinstance(value, str) else value for value in fields]


def _field(value: object) -> object:
    return text_field(value) if isinstance(value, str) else value


def _record(path: Path, prediction: Prediction, classes: Sequence[str]) -> dict:
    return {"path": str(path), **dict.fromkeys(classes), **prediction.to_dict()}

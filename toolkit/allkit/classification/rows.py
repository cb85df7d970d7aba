"""Rows of predictions as CSV, JSON lines or Parquet, and the file that holds them, whole or not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from allkit.runtime.classifier import Classifier, Prediction
from allkit.support.csvtext import path_field, text_field, write_rows
from allkit.support.files import replacing
from allkit.support.text import visible

if TYPE_CHECKING:
    import pyarrow as pa

# A path, or whatever else names an image as a text.
Rows = Iterable[tuple[object, Prediction]]
Writer = Callable[[Rows, Sequence[str], TextIO, Sequence[str]], None]

# A file name need not be valid UTF-8; it is written as the bytes that the file system has.
ENCODING = {"encoding": "utf-8", "errors": "surrogateescape"}

# Rows that a Parquet file has in a group, and that are in memory at a time.
_ROW_GROUP = 65_536

# Fields that a row has only where they were asked for.
OPTIONAL = ("trained_on", "warning")


def columns(classes: Sequence[str], optional: Sequence[str] = ()) -> list[str]:
    """The names of the fields of a row; optional: those of `OPTIONAL` that were asked for, which come last."""
    return ["path", "label", "confidence", *classes, "error", "prediction_set", "uncertain", "unfamiliar", *optional]


def optional_columns(classifier: Classifier) -> list[str]:
    """Those of `OPTIONAL` that the classifier was asked for."""
    return ["trained_on"] * classifier.mark_trained + ["warning"] * classifier.lenient


def write_csv(rows: Rows, classes: Sequence[str], stream: TextIO, optional: Sequence[str] = ()) -> None:
    """One line per image under a header, a prediction set as `Early|Pre`; what an image does not have is empty.

    No field is a formula to a spreadsheet, see `csvtext`. On a terminal names are shown, never obeyed.
    """
    names = columns(classes, optional)
    lines = chain([names], (csv_fields(path, prediction, classes, optional) for path, prediction in rows))
    write_rows(stream, map(_shown, lines) if stream.isatty() else lines)


def write_jsonl(rows: Rows, classes: Sequence[str], stream: TextIO, optional: Sequence[str] = ()) -> None:
    """One JSON object per line with the names of the CSV columns, the prediction set as a list; null if undefined."""
    for path, prediction in rows:
        stream.write(json.dumps({"path": str(path), **row_of(prediction, classes, optional)}) + "\n")


def write_parquet(rows: Rows, classes: Sequence[str], stream: TextIO, optional: Sequence[str] = ()) -> None:
    """A table with the names of the CSV columns, the prediction set as a list; null if undefined.

    stream: one over bytes. A path that is not UTF-8, which Parquet cannot hold, has its other bytes escaped.
    """
    from pyarrow import parquet

    with parquet.ParquetWriter(stream.buffer, parquet_schema(classes, optional)) as writer:
        remaining = iter(rows)
        while some := list(islice(remaining, _ROW_GROUP)):
            writer.write_table(parquet_table(some, classes, optional))


def parquet_table(rows: Rows, classes: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
    """Rows as `write_parquet` writes them."""
    import pyarrow as pa

    records = [{"path": visible(str(path)), **row_of(prediction, classes, optional)} for path, prediction in rows]
    return pa.Table.from_pylist(records, parquet_schema(classes, optional))


def parquet_schema(classes: Sequence[str], optional: Sequence[str] = ()) -> pa.Schema:
    """The columns of `write_parquet` with their types."""
    import pyarrow as pa

    names = columns(classes, optional)
    kinds = {
        **dict.fromkeys(names, pa.string()),
        **dict.fromkeys(("confidence", *classes), pa.float64()),
        **dict.fromkeys(("uncertain", "unfamiliar"), pa.bool_()),
        "prediction_set": pa.list_(pa.string()),
    }
    return pa.schema([(name, kinds[name]) for name in names])


@contextmanager
def row_file(path: Path) -> Iterator[TextIO]:
    """A text file for rows that takes its name only when all has gone well; AllkitError as `replacing` raises it."""
    with replacing(path) as temporary, temporary.open("w", newline="", **ENCODING) as stream:
        yield stream


def csv_fields(path: Path, prediction: Prediction, classes: Sequence[str], optional: Sequence[str] = ()) -> list:
    """The fields of an image in the order of `columns`, as `write_csv` writes them."""
    row = row_of(prediction, classes, optional)
    if row["prediction_set"] is not None:
        row["prediction_set"] = "|".join(row["prediction_set"])
    return [path_field(str(path)), *map(_field, row.values())]


def row_of(prediction: Prediction, classes: Sequence[str], optional: Sequence[str] = ()) -> dict:
    """What is known of an image, by the names and in the order of `columns`, without the path; None if undefined."""
    fields = {**dict.fromkeys(classes), **prediction.to_dict()}
    return {name: fields[name] for name in columns(classes, optional)[1:]}


def _shown(fields: Sequence) -> list:
    return [visible(value) if isinstance(value, str) else value for value in fields]


def _field(value: object) -> object:
    return text_field(value) if isinstance(value, str) else value

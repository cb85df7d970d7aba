"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from allkit.archive.storage import is_uri
from allkit.errors import reason
from allkit.support.files import as_json, write_json


class NamedPath(click.Path):
    """A path that the system can have: one with a zero byte or a name that is too long is wrong usage."""

    def __init__(self, **options: bool):
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            os.stat(value)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            # Whether that matters depends on what the path is for.
            pass
        except (OSError, ValueError) as error:
            self.fail(f"{value!r}: {reason(error)}", param, ctx)
        return super().convert(value, param, ctx)


class NamedPathOrUri(NamedPath):
    """The same, or a URI such as s3://bucket/folder, which stays a text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if isinstance(value, str) and is_uri(value) else super().convert(value, param, ctx)


def path_or_uri(value: str) -> Path | str:
    """A source: what no system can have as a path has its row with the error."""
    return value if is_uri(value) else Path(value)


data_option = click.option(
    "--data",
    type=NamedPath(),
    envvar="ALLKIT_DATA",
    show_envvar=True,
    default=Path("data"),
    show_default=True,
    help="Folder with one sub-folder of images per class.",
)

model_option = click.option(
    "--model",
    type=NamedPath(dir_okay=False),
    help="ONNX file made by `allkit export`.  [the one that ./exported/default names, which `allkit export` writes, "
    "else the one that comes with allkit]",
)

device_option = click.option(
    "--device",
    metavar="[auto|cpu|cuda|tensorrt|NAME]",
    default="auto",
    show_default=True,
    help="Where to run; auto takes CUDA where it works, else the CPU. NAME: another that onnxruntime was built with, "
    "such as openvino.",
)

STDOUT = Path("-")

json_option = click.option(
    "--json",
    "json_file",
    type=NamedPath(dir_okay=False, allow_dash=True),
    is_flag=False,
    flag_value=STDOUT,
    metavar="[FILE]",
    help="Write the record as JSON to FILE; without FILE print it instead of the tables.",
)


def files_among(*outputs: Path | None) -> list[Path]:
    """The outputs that are files: given, and not stdout."""
    return [path for path in outputs if path and path != STDOUT]


def write_record(record: Mapping[str, Any], json_file: Path | None, compact: bool = False) -> None:
    """What `json_option` asks for: nothing, the record on stdout, or a file."""
    if json_file == STDOUT:
        click.echo(as_json(record, compact))
    elif json_file:
        write_json(json_file, record, compact)


batch_size_option = click.option(
    "--batch-size", type=click.IntRange(1), help="Images per inference call.  [chosen for the model and the machine]"
)


def columns_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The columns of Parquet files with images."""
    return click.option(
        "--columns",
        callback=_two_names,
        metavar="PATH,BYTES",
        default="path,bytes",
        show_default=True,
        help="The columns of Parquet files that hold the names and the encoded images.",
    )(command)


def _two_names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, str]:
    names = tuple(value.split(","))
    if len(names) != 2 or not all(names):
        raise click.BadParameter("give two names with a comma in between", ctx, param)
    return names


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How images are read, and what else is said of them, by the names that `Classifier` has for it."""
    for option in reversed(_READING):
        command = option(command)
    return command


_READING = (
    click.option(
        "--lenient",
        is_flag=True,
        help="Classify what can be decoded of damaged images, with the damage in the column warning; otherwise each is "
        "an error.",
    ),
    click.option(
        "--mark-trained",
        is_flag=True,
        help="Mark images that the model was trained on in one more column, trained_on: exact for the same file, near "
        "for a copy in another format, size or orientation.",
    ),
    click.option(
        "--bits",
        type=click.IntRange(8, 16),
        help="Bits that the values of 16-bit images use, such as 12 for many cameras.  [what the file says]",
    ),
)

"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="ALLKIT_DATA",
    show_envvar=True,
    default=Path("data"),
    show_default=True,
    help="Folder with one sub-folder of images a class.",
)

device_option = click.option(
    "--device",
    metavar="[auto|cpu|cuda|tensorrt|NAME]",
    default="auto",
    show_default=True,
    help="Where to run; auto takes CUDA where it works, else the CPU. NAME: another that onnxruntime was built with, "
    "such as openvino.",
)

batch_size_option = click.option(
    "--batch-size", type=click.IntRange(1), help="Images a run of the model.  [what suits the model and the machine]"
)

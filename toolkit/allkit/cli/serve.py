"""`allkit serve`."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from allkit.cli.options import NamedPath, batch_size_option, device_option, model_option
from allkit.cli.terminal import say
from allkit.support.extras import require

EPILOG = """\b
Examples:
  allkit serve
  curl --data-binary @smear.jpg http://127.0.0.1:8000/classify
  curl --data-binary @smear.jpg "http://127.0.0.1:8000/classify?heatmap=png" --output map.png
  ALLKIT_TOKEN=... allkit serve --host 0.0.0.0 --host-name smears.example.org

POST /classify takes one image as the body and answers with its row as JSON, by the names
of `allkit classify`. /v2 speaks the Open Inference Protocol, as Triton and KServe do,
/metrics is for Prometheus, /card is the model card.

Ends with exit status 0 after SIGTERM or Ctrl-C, when what had begun is answered, or 2 for
wrong usage. Research use; not for diagnosis."""


@click.command(epilog=EPILOG)
@model_option
@device_option
@batch_size_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; one that other machines reach needs a token.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 for any that is free."
)
@click.option(
    "--host-name",
    "host_names",
    multiple=True,
    help="A name by which callers call the server, besides localhost and --host; can be repeated.",
)
@click.option(
    "--token-file",
    type=NamedPath(dir_okay=False),
    help="File with the token that callers must send, as Authorization: Bearer or as the password that a browser asks "
    "for.  [the environment variable ALLKIT_TOKEN]",
)
@click.option(
    "--max-mb",
    "most_mb",
    type=click.IntRange(1, 512),
    default=64,
    show_default=True,
    help="Largest body of a request, in MiB.",
)
@click.option(
    "--queue",
    "most_waiting",
    type=click.IntRange(1, 100_000),
    default=256,
    show_default=True,
    help="Images that wait at most; beyond that callers are told to come back (503).",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3600),
    default=30.0,
    show_default=True,
    help="In which a body must have arrived, and then an image be answered.",
)
def serve(
    model: Path | None,
    device: str,
    batch_size: int | None,
    host: str,
    port: int,
    host_names: tuple[str, ...],
    token_file: Path | None,
    most_mb: int,
    most_waiting: int,
    seconds: float,
) -> None:
    """Classify images that come over HTTP."""
    require("serve")

    from allkit import Classifier
    from allkit.serving.app import Limits
    from allkit.serving.job import ServeOptions
    from allkit.serving.job import serve as serve_classifier

    limits = Limits(most_mb * 2**20, upload_s=seconds, answer_s=seconds, most_waiting=most_waiting)
    options = ServeOptions(host, port, _token(token_file), host_names, limits)
    classifier = Classifier(model, device, batch_size)
    if classifier.notice:
        say(classifier.notice, err=True)
    # What no line has need not be looked up for each: half of its time.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = logging.logAsyncioTasks = False
    logging._srcfile = None
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)

    def begun(address: str) -> None:
        say(f"{classifier.model_path.name} on {classifier.provider} answers at {address} (Ctrl-C ends it)", err=True)

    serve_classifier(classifier, options, begun)


def _token(file: Path | None) -> str | None:
    from allkit.errors import AllkitError
    from allkit.imaging.pixel_path import read_bytes

    if file is None:
        return os.environ.get("ALLKIT_TOKEN")
    try:
        return read_bytes(file, 4096).decode().strip()
    except UnicodeDecodeError as error:
        raise AllkitError(f"{file} is no text: give a file with the token") from error

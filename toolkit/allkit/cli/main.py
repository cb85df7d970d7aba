"""The command `allkit` and its error handling.

Commands are imported when they are called, so that `allkit --help` waits for none of their libraries.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from difflib import get_close_matches
from typing import NoReturn

import click

from allkit.cli.terminal import say
from allkit.errors import AllkitError, reason
from allkit.support.text import visible_lines

# Name, module and one line of help: `--help` lists the commands without importing them.
COMMANDS = {
    "train": ("allkit.cli.train", "Train a network on a class-per-folder tree."),
    "export": ("allkit.cli.export", "Turn a trained run into a verified ONNX model."),
    "classify": ("allkit.cli.classify", "Classify images with an exported model."),
    "serve": ("allkit.cli.serve", "Classify images that come over HTTP."),
    "watch": ("allkit.cli.watch", "Classify images as they come into a folder."),
    "bench": ("allkit.cli.bench", "Measure what exported models cost and are worth on this machine."),
    "report": ("allkit.cli.report", "Show the results of trainings and models beside the paper's."),
    "tune": ("allkit.cli.tune", "Find the fastest way to run a model on this machine."),
    "evaluate": ("allkit.cli.evaluate", "Measure an exported model on labelled images."),
    "inspect": ("allkit.cli.inspect", "Show the contract and the layers of an exported model."),
    "data": ("allkit.cli.data", "Get, draw and inspect labelled images."),
    "demo": ("allkit.cli.demo", "Run the whole pipeline on synthetic smears."),
}

EPILOG = """\b
Examples:
  allkit demo                                      the whole pipeline in two minutes, no data needed
  allkit train --data ALL/ --size 150 --width 0.25 --recipe scratch
  allkit export --size 150
  allkit classify folder/ --format csv --output labels.csv

Research use; not for diagnosis."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(COMMANDS[name][0]), name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if near := get_close_matches(args[0], COMMANDS, 1):
                error.message += f" Did you mean {near[0]}?"
            raise

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            # Click repeats what was typed, or what a wildcard stood for, as it is.
            error.message = visible_lines(error.message)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="allkit")
def cli() -> None:
    """From labelled blood-smear images to a small, fast, verified ONNX classifier."""


def main() -> None:
    """Run the command line: a foreseen failure, and all that the system refuses, is one message and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        # A file name need not be text that the terminal can show; that must not end the work.
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")
    try:
        cli(prog_name="allkit")
    except AllkitError as error:
        _fail(str(error))
    except OSError as error:
        if error.filename is not None:
            _fail(f"cannot use {error.filename}: {reason(error)}")
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            _fail(reason(error))
        # What is left in the buffer would fail once more at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _fail(f"cannot write to standard output: {reason(error)}")


def _fail(message: str) -> NoReturn:
    say(message, err=True, label="error:")
    sys.exit(2)

"""`allkit demo`: synth, train, export, evaluate, classify on synthetic smears."""

from __future__ import annotations

from pathlib import Path

import click

from allkit.cli.options import NamedPath
from allkit.cli.terminal import say
from allkit.errors import AllkitError
from allkit.support.extras import require
from allkit.support.files import listing

EPILOG = """\b
Examples:
  allkit demo                    in allkit-demo/
  allkit demo --out smears-demo/"""

# A size that trains in well under a minute on two cores and still needs shape to be seen.
_SIZE_PX, _WIDTH, _EPOCHS, _PER_CLASS = 64, 0.125, 20, 100


@click.command(epilog=EPILOG)
@click.option(
    "--out",
    "folder",
    type=NamedPath(file_okay=False),
    default=Path("allkit-demo"),
    show_default=True,
    help="Folder for the images, the run, the model and the report; must be empty, or not exist.",
)
@click.pass_context
def demo(ctx: click.Context, folder: Path) -> None:
    """Run the whole pipeline on synthetic smears in under two minutes: synth, train, export, evaluate, classify."""
    require("train")
    if listing(folder):
        raise AllkitError(f"{folder} is not empty: delete it, or give another --out")
    smears, run, out = folder / "smears", folder / "runs" / "demo", folder / "exported"
    report = folder / "evaluation.html"
    model = out / f"vgg16x{_WIDTH:g}-{_SIZE_PX}-fp32.onnx"
    network = ("--recipe", "scratch", "--size", _SIZE_PX, "--width", _WIDTH, "--epochs", _EPOCHS, "--batch-size", 16)
    steps = [
        ("data", "synth", smears, "--per-class", _PER_CLASS),
        ("train", "--data", smears, *network, "--split", "random", "--out", run),
        ("export", "--run", run, "--out", out),
        ("evaluate", model, "--data", smears, "--part", "test", "--report", report),
        ("classify", smears / "Pre", "--model", model, "--output", folder / "labels.csv"),
    ]
    for number, step in enumerate(steps, 1):
        words = [str(word) for word in step]
        say(f"\n[{number}/{len(steps)}] allkit {' '.join(words)}", bold=True)
        status = ctx.find_root().command.main(words, prog_name="allkit", standalone_mode=False)
        if status:
            ctx.exit(status)
    say(
        "\nThe smears are drawings: these figures show that the pipeline works and say nothing about leukemia.\n\n"
        f"look at:  {report}\n"
        f"          {run / 'curves.png'}\n"
        f"          {folder / 'labels.csv'}\n"
        "next:     allkit classify FOLDER             your own images, with the model that comes with allkit\n"
        "          allkit train --data FOLDER         your own model; FOLDER has one sub-folder per class"
    )

"""`allkit demo`: synth, train, export, evaluate, classify on synthetic smears."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from allkit.cli.options import NamedPath
from allkit.cli.terminal import say
from allkit.support.extras import require

EPILOG = """\b
Example:
  allkit demo --keep demo/       keep the images, the run and the model in demo/"""

# A size that trains in well under a minute on two cores and still needs shape to be seen.
_SIZE_PX, _WIDTH, _EPOCHS, _PER_CLASS = 64, 0.125, 20, 100


@click.command(epilog=EPILOG)
@click.option(
    "--keep",
    type=NamedPath(file_okay=False),
    help="Work in this folder and keep everything there.  [a temporary folder]",
)
@click.pass_context
def demo(ctx: click.Context, keep: Path | None) -> None:
    """Run the whole pipeline on synthetic smears in under two minutes: synth, train, export, evaluate, classify."""
    require("train")
    if keep:
        _walk(ctx, keep)
        return
    with tempfile.TemporaryDirectory(prefix="allkit-demo-") as folder:
        _walk(ctx, Path(folder))


def _walk(ctx: click.Context, folder: Path) -> None:
    smears, run, out = folder / "smears", folder / "runs" / "demo", folder / "exported"
    model = out / f"vgg16x{_WIDTH:g}-{_SIZE_PX}-fp32.onnx"
    network = ("--recipe", "scratch", "--size", _SIZE_PX, "--width", _WIDTH, "--epochs", _EPOCHS, "--batch-size", 16)
    steps = [
        ("data", "synth", smears, "--per-class", _PER_CLASS),
        ("train", "--data", smears, *network, "--split", "random", "--out", run),
        ("export", "--run", run, "--out", out),
        ("evaluate", model, "--data", smears, "--split", run / "split.json", "--part", "test"),
        ("classify", smears / "Pre", "--model", model),
    ]
    for number, step in enumerate(steps, 1):
        words = [str(word) for word in step]
        say(f"\n[{number}/{len(steps)}] allkit {' '.join(words)}", bold=True)
        status = ctx.find_root().command.main(words, prog_name="allkit", standalone_mode=False)
        if status:
            ctx.exit(status)
    say("\nThe smears are drawings: these figures show that the pipeline works and say nothing about leukemia.")

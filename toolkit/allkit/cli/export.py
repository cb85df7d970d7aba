"""`allkit export`."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  allkit export --size 200                 the newest finished run at 200 px
  allkit export --run runs/mine --out models/
  allkit export --size 150 --data /elsewhere/ALL

The file is compared with the Keras model on real images of the run's validation
part before it is kept; one that does not agree is not written (exit status 2)."""


@click.command(epilog=EPILOG)
@click.option("--size", "size_px", type=click.IntRange(32, 1024), help="Export the newest finished run of this size.")
@click.option(
    "--run",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Export this run folder instead.",
)
@click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where to look for runs.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("exported"),
    show_default=True,
    help="Folder for the model and its card.",
)
@click.option("--data", type=click.Path(path_type=Path), help="The images the run was trained on, if they have moved.")
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Share of images whose prediction set shall hold the truth.",
)
def export(size_px: int | None, folder: Path | None, runs: Path, out: Path, data: Path | None, coverage: float) -> None:
    """Turn a trained run into a verified ONNX model."""
    from allkit.errors import AllkitError
    from allkit.training.run import Run, newest_finished

    run = Run.open(folder) if folder else newest_finished(runs, size_px)
    if size_px not in (None, run.settings.pixels.size_px):
        raise AllkitError(f"{run.folder} was trained at {run.settings.pixels.size_px} px, not {size_px}")

    from allkit.training.backend import prepare

    prepare()
    from allkit.export.export import export as export_run

    click.echo(f"exporting {run.folder}", err=True)
    exported = export_run(run, data or Path(run.settings.data), out, coverage)
    contract, calibration = exported.contract, exported.contract.calibration
    click.echo(f"verified: {exported.verification}")
    click.echo(
        f"calibrated: temperature {contract.temperature:.3f}, expected calibration error on the {calibration['part']} "
        f"part {calibration['ece_before']:.4f} before, {calibration['ece_after']:.4f} after (n = {calibration['n']})"
    )
    click.echo(
        f"doubt: prediction sets of coverage {coverage:g} from probability {contract.abstention['threshold']:.4f} on; "
        f"unfamiliar from distance {contract.familiarity['threshold']:.2f} on"
    )
    if exported.replaced:
        click.echo(f"replaced the model that was in {exported.path} before", err=True)
    click.echo(f"model: {exported.path} ({exported.path.stat().st_size / 2**20:.2f} MiB)")
    click.echo(f"card:  {exported.card}")
    click.echo(f"next:  allkit classify FOLDER --model {exported.path}")

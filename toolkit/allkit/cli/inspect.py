"""`allkit inspect`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from allkit.cli.options import STDOUT, NamedPath, files_among, json_option, write_record

EPILOG = """\b
Examples:
  allkit inspect exported/vgg16x0.25-150-int8.onnx
  allkit inspect MODEL --json | jq .contract.accuracy
  allkit inspect MODEL --check             are its outputs correct on this machine?

Without --check the file is read, not run. With it the model is run on a few drawn images
whose outputs are in its contract, with each kind of CPU kernels of ONNX Runtime. All
commands make this check by themselves when they first open a file on a machine.

Exit status 1 when --check finds no kernels with correct outputs, 2 when the file is not
a model of allkit, is damaged or has another schema version."""


@click.command(epilog=EPILOG)
@click.argument("model", type=NamedPath())
@json_option
@click.option(
    "--check", is_flag=True, help="Compare the model with its known answers, and show which kernels are exact here."
)
@click.pass_context
def inspect(ctx: click.Context, model: Path, json_file: Path | None, check: bool) -> None:
    """Show the contract of an exported model and its graph, layer by layer."""
    from allkit.support.files import check_text_file

    for path in files_among(json_file):
        check_text_file(path, [model])
    if check:
        if not _check(model, json_file):
            ctx.exit(1)
        return

    from allkit.model.graph import read_graph, summarise

    proto, contract = read_graph(model)
    summary = summarise(proto)
    figures = {**asdict(summary), "macs": summary.macs, "bytes": model.stat().st_size}
    write_record({"contract": json.loads(contract.to_json()), "graph": figures}, json_file)
    if json_file == STDOUT:
        return

    from allkit.cli.inspect_tables import print_contract, print_graph

    print_contract(contract)
    print_graph(model, summary)


def _check(path: Path, json_file: Path | None) -> bool:
    """Print the differences of each kind of kernels from the known answers; whether one of them can be used."""
    from allkit.cli.check_table import print_check
    from allkit.model.file import read_model
    from allkit.runtime.kernels import Kernels
    from allkit.runtime.machine import identity
    from allkit.runtime.session import check_kernels, known_kernels

    file = read_model(path)
    found = {kernels: check_kernels(file, kernels) for kernels in Kernels}
    used = next((kernels for kernels in known_kernels(file.contract) if found[kernels].tolerable), None)
    kernels = {kernels.value: {**asdict(one), "tolerable": one.tolerable} for kernels, one in found.items()}
    record = {"file": path.name, "machine": identity(), "used": used and used.value, "kernels": kernels}
    write_record(record, json_file)
    if json_file != STDOUT:
        print_check(path, identity(), found, used)
    return used is not None

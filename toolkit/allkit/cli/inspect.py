"""`allkit inspect`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from allkit.cli.options import NamedPath

EPILOG = """\b
Examples:
  allkit inspect exported/vgg16x0.25-150-int8.onnx
  allkit inspect MODEL --json | jq .contract.accuracy

The file is read, not run. Exit status 2 when it is not a model of allkit, damaged, of
a newer schema, or refers to data outside its folder."""


@click.command(epilog=EPILOG)
@click.argument("model", type=NamedPath())
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def inspect(model: Path, as_json: bool) -> None:
    """Show what an exported model says of itself and what its graph holds, layer by layer."""
    from allkit.graph import read_graph, summarise

    proto, contract = read_graph(model)
    summary = summarise(proto)
    if as_json:
        from dataclasses import asdict

        figures = {**asdict(summary), "macs": summary.macs, "bytes": model.stat().st_size}
        click.echo(json.dumps({"contract": json.loads(contract.to_json()), "graph": figures}, indent=1))
        return

    from allkit.cli.inspect_tables import print_contract, print_graph

    print_contract(contract)
    print_graph(model, summary)

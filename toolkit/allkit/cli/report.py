"""`allkit report`."""

from __future__ import annotations

from pathlib import Path

import click

from allkit.cli.options import NamedPath

EPILOG = """\b
Examples:
  allkit report runs/*/ --html results.html          Tables 1 and 2, Figures 2 and 3 beside the paper's
  allkit report runs/a runs/b --markdown results.md
  allkit report benchmarks/results/comparators.json --html comparators.html
  allkit report exported/ evaluate-*.json bench.json --markdown exported/README.md

Sources are run folders and cross-validations, exported models or folders of them, and
the JSON of `allkit evaluate --shift --json`, `allkit bench --json`, of a run
(metrics.json) and of benchmarks/comparators.py. Without --html and --markdown the
Markdown is printed."""


@click.command(epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, type=NamedPath(exists=True))
@click.option("--html", type=NamedPath(dir_okay=False), help="Write one self-contained page.")
@click.option("--markdown", type=NamedPath(dir_okay=False), help="Write the tables as Markdown.")
@click.option("--title", default="Results", show_default=True, help="The heading.")
@click.option(
    "--note", "notes", multiple=True, help="A paragraph at the end, such as licence and limits; can be repeated."
)
def report(
    sources: tuple[Path, ...], html: Path | None, markdown: Path | None, title: str, notes: tuple[str, ...]
) -> None:
    """Results of trainings and models, beside the paper's tables and figures."""
    from allkit.cli.progress import ProgressDisplay
    from allkit.report.page import as_html, as_markdown
    from allkit.report.sources import gather
    from allkit.support.extras import require
    from allkit.support.files import check_text_file, write_text

    require("report")

    models = [model for source in sources if source.is_dir() for model in source.glob("*.onnx")]
    for path in filter(None, (html, markdown)):
        check_text_file(path, [*sources, *models])
    with ProgressDisplay() as progress:
        progress.update("reading results", 0.0)
        found = gather(sources)
        progress.update("drawing", 0.0)
        if html:
            write_text(html, as_html(found, title, notes))
        text = as_markdown(found, title, notes) if markdown or not html else ""
    if markdown:
        write_text(markdown, text)
    elif not html:
        click.echo(text)

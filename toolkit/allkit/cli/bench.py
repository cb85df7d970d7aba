"""`allkit bench`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from allkit.cli.options import NamedPath, data_option, device_option
from allkit.cli.terminal import say
from allkit.support.text import visible

if TYPE_CHECKING:
    from allkit.data.index import Images

EPILOG = """\b
Examples:
  allkit bench                                       every model in exported/, one table
  allkit bench A.onnx B.onnx --data ALL/ --json record.json --report bench.html
  allkit bench --seconds 60 --rounds 10              for figures that must be sure
  allkit bench --batch 1 --batch 32
  allkit bench --budget-ms 5 --budget-mb 2           recommends one model, and says why
  allkit bench --from record.json --report bench.html --plot front.svg
  allkit bench --compare monday.json tuesday.json    which differences are real

Accuracy is measured on the test part of each model's own split, found by content among
the images, or on that of --split; where it is not there, on all images. Those that the
model was trained on are left out. Where no folder is named and there is no ./data, the
queries are synthetic smears, and no accuracy is measured.

Exit status 0; 1 when a model failed, or nothing qualifies for the budget; 2 for wrong usage."""


def _file(option: str, text: str) -> Callable:
    return click.option(option, type=NamedPath(dir_okay=False), help=text)


@click.command(epilog=EPILOG)
@click.argument("models", nargs=-1, type=NamedPath(dir_okay=False), metavar="[MODELS]...")
@data_option
@click.option(
    "--split",
    "split_file",
    type=NamedPath(dir_okay=False),
    help="Measure accuracy on the test part of this split (a run's split.json).",
)
@device_option
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(1),
    multiple=True,
    help="Batch size of the throughput; repeat.  [that of the plan, 1 and 32]",
)
@click.option(
    "--seconds", type=click.FloatRange(0), default=5.0, show_default=True, help="Least of a scenario, over all rounds."
)
@click.option(
    "--queries", type=click.IntRange(1), default=662, show_default=True, help="Least of a scenario, over all rounds."
)
@click.option("--rounds", type=click.IntRange(2, 20), default=7, show_default=True, help="Turns that models take.")
@_file("--json", "Write the record: raw samples, machine, hashes of the models.")
@_file("--csv", "Write the figures, one line per model.")
@_file("--markdown", "Write the table for a document.")
@_file("--report", "Write one self-contained HTML page.")
@_file("--plot", "Write the scatter of accuracy and latency, as .svg or .png.")
@click.option("--budget-ms", type=click.FloatRange(0, min_open=True), help="Recommend: the most ms per image.")
@click.option("--budget-mb", type=click.FloatRange(0, min_open=True), help="Recommend: the largest file, in MiB.")
@click.option("--min-accuracy", type=click.FloatRange(0, 1), help="Recommend: the least accuracy, as in 0.98.")
@click.option(
    "--margin",
    type=click.FloatRange(0, 100, min_open=True, max_open=True),
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="Recommend: a faster model must be shown to lose less than this of the most accurate one's accuracy.",
)
@click.option(
    "--from",
    "source",
    type=NamedPath(dir_okay=False),
    help="Show this record again; nothing is measured.",
)
@click.option(
    "--compare",
    nargs=2,
    type=NamedPath(dir_okay=False),
    help="Compare two records; nothing is measured.",
)
@click.option("--across-machines", is_flag=True, help="Let --compare take records of different machines.")
def bench(
    models: tuple[Path, ...],
    data: Path,
    split_file: Path | None,
    device: str,
    batches: tuple[int, ...],
    seconds: float,
    queries: int,
    rounds: int,
    json: Path | None,
    csv: Path | None,
    markdown: Path | None,
    report: Path | None,
    plot: Path | None,
    budget_ms: float | None,
    budget_mb: float | None,
    min_accuracy: float | None,
    margin: float,
    source: Path | None,
    compare: tuple[Path, Path] | None,
    across_machines: bool,
) -> None:
    """What a millisecond buys: latency, throughput, memory and accuracy of exported models on this machine."""
    if source and (compare or models):
        raise click.UsageError("--from shows one record: leave out the models and --compare")
    written = (json, csv, markdown, report, plot)
    limits = (budget_ms, budget_mb, min_accuracy)
    if compare and (models or any(option is not None for option in written + limits)):
        raise click.UsageError("--compare reads two records and prints: leave out the models, files and budgets")

    from allkit.benchmark.record.record import as_csv, as_markdown, load, save
    from allkit.cli.bench_tables import print_comparison, print_record
    from allkit.support.files import check_replaceable, write_text

    if compare:
        from allkit.benchmark.record.compare import compare as compare_records

        print_comparison(compare_records(*map(load, compare), across_machines))
        return
    for path in filter(None, written):
        check_replaceable(path, [*models, *filter(None, (source, split_file))])
    if plot:
        from allkit.report.plot import check_plot, write_scatter

        check_plot(plot)
    named = click.get_current_context().get_parameter_source("data") is not ParameterSource.DEFAULT
    files = list(filter(None, written))
    record = (
        load(source)
        if source
        else _measure(models, _images(data, named), split_file, device, batches, seconds, queries, rounds, files, plot)
    )
    if json:
        save(record, json)
    print_record(record)
    for path, render in ((csv, as_csv), (markdown, as_markdown)):
        if path:
            write_text(path, render(record))
    if report:
        from allkit.report.bench_page import render

        write_text(report, render(record))
    failed = any("error" in row for row in record["rows"])
    if any(limit is not None for limit in limits):
        from allkit.benchmark.record.choose import Budget, recommend

        model, reason = recommend(record, Budget(*limits), margin / 100)
        say(f"\nrecommended: {model}: {reason}" if model else f"\n{reason}")
        failed = failed or model is None
    if plot:
        write_scatter(record, plot)
    click.get_current_context().exit(int(failed))


def _measure(models, queried, split_file, device, batches, seconds, queries, rounds, written, plot) -> dict:
    from rich.progress import BarColumn, Progress, TimeElapsedColumn

    from allkit.benchmark.measure.accuracy import Labelled
    from allkit.benchmark.measure.run import Settings, run
    from allkit.cli.console import Description, stderr
    from allkit.data.split import Split
    from allkit.runtime.default_model import models_at_hand
    from allkit.support.files import check_replaceable, check_text_file

    paths = list(models) or models_at_hand()
    settings = Settings(device, batches, seconds, queries, rounds)
    with queried as (files, told, images):
        for path in written:
            (check_replaceable if path == plot else check_text_file)(path, [*paths, *files])
        labelled = images and Labelled(images, Split.load(split_file) if split_file else None)
        columns = (Description(), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=stderr, transient=True) as progress:
            task = progress.add_task("", total=1.0)

            def say(phase: str, model: str, done: float) -> None:
                progress.update(task, description=f"{phase} {model}", completed=done)

            return run(paths, files, told, settings, labelled, say)


@contextmanager
def _images(data: Path, named: bool) -> Iterator[tuple[list[Path], dict, Images | None]]:
    """The images of the queries, what they are, and the labelled dataset where there is one.

    AllkitError where the folder was named and is no dataset: only who names none gets synthetic smears.
    """
    if named or data.is_dir():
        from allkit.cli.progress import read_with_progress
        from allkit.data.index import scan

        # Read here, so that what cannot be read is left out of the queries too.
        images = read_with_progress(scan(data))
        files = [images.dataset.root / path for path in images.dataset.paths]
        yield files, {"kind": "labelled images", "root": visible(data.name)}, images
        return
    from allkit.data.synth import synthesize

    say(f"no folder named by --data or $ALLKIT_DATA and no ./{data}: synthetic smears, no accuracy", err=True)
    with tempfile.TemporaryDirectory(prefix="allkit-bench-") as folder:
        yield sorted(synthesize(Path(folder, "smears"), 32).rglob("*.jpg")), {"kind": "synthetic smears"}, None

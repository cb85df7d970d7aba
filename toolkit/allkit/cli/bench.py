"""`allkit bench`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from allkit.benchmark.options import BenchOptions
from allkit.cli.options import (
    STDOUT,
    NamedPath,
    data_option,
    device_option,
    files_among,
    json_option,
    write_record,
)
from allkit.cli.terminal import say
from allkit.support.extras import require
from allkit.support.files import check_replaceable, check_text_file, write_text

if TYPE_CHECKING:
    from allkit.benchmark.record.choose import Recommendation

EPILOG = """\b
Examples:
  allkit bench                                       every model in exported/, one table
  allkit bench A.onnx B.onnx --data ALL/ --json record.json --report bench.html
  allkit bench --seconds 60 --rounds 10              for more precise figures
  allkit bench --batch 1 --batch 32
  allkit bench --budget-ms 5 --budget-mb 2           recommends one model and says why
  allkit bench --from record.json --report bench.html --plot front.svg
  allkit bench --compare monday.json tuesday.json    which differences are significant

Accuracy is measured on the test part of each model's own split, found by content among
the images, or on that of --split; where it is not there, on all images. Those that the
model was trained on are left out. Where no folder is named and there is no ./data, the
queries are synthetic smears, and no accuracy is measured.

Exit status 0; 1 when a model failed, or none fits the budget; 2 for wrong usage."""


def _file(option: str, text: str) -> Callable:
    return click.option(option, type=NamedPath(dir_okay=False), help=text)


@click.command(epilog=EPILOG)
@click.argument("models", nargs=-1, type=NamedPath(), metavar="[FILES_OR_FOLDERS]...")
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
    help="Batch size for throughput; can be repeated.  [that of the plan, 1 and 32]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=BenchOptions.seconds,
    show_default=True,
    help="Minimum per scenario, over all rounds.",
)
@click.option(
    "--queries",
    type=click.IntRange(1),
    default=BenchOptions.queries,
    show_default=True,
    help="Minimum per scenario, over all rounds.",
)
@click.option(
    "--rounds",
    type=click.IntRange(2, 20),
    default=BenchOptions.rounds,
    show_default=True,
    help="Rounds in which all models take turns.",
)
@json_option
@_file("--csv", "Write the figures, one line per model.")
@_file("--markdown", "Write the table as Markdown.")
@_file("--report", "Write one self-contained HTML page.")
@_file("--plot", "Write the chart of accuracy against latency, as .svg or .png.")
@click.option("--wide", is_flag=True, help="Print every figure; the default is six columns that fit 80 characters.")
@click.option("--budget-ms", type=click.FloatRange(0, min_open=True), help="Recommend a model: maximum ms per image.")
@click.option(
    "--budget-mb", type=click.FloatRange(0, min_open=True), help="Recommend a model: maximum file size in MiB."
)
@click.option("--min-accuracy", type=click.FloatRange(0, 1), help="Recommend a model: minimum accuracy, such as 0.98.")
@click.option(
    "--margin",
    type=click.FloatRange(0, 100, min_open=True, max_open=True),
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="Recommend a model: a faster one must be shown to lose less accuracy than this against the most accurate one.",
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
def bench(
    models: tuple[Path, ...],
    data: Path,
    split_file: Path | None,
    device: str,
    batches: tuple[int, ...],
    seconds: float,
    queries: int,
    rounds: int,
    json_file: Path | None,
    csv: Path | None,
    markdown: Path | None,
    report: Path | None,
    plot: Path | None,
    wide: bool,
    budget_ms: float | None,
    budget_mb: float | None,
    min_accuracy: float | None,
    margin: float,
    source: Path | None,
    compare: tuple[Path, Path] | None,
) -> None:
    """Measure latency, throughput, memory and accuracy of exported models on this machine."""
    written = files_among(json_file, csv, markdown, report, plot)
    budget = (budget_ms, budget_mb, min_accuracy)
    limited = any(limit is not None for limit in budget)
    _check_usage(models, source, compare, bool(written or json_file or limited))
    require("bench")
    if report or plot:
        require("report")
    if compare:
        from allkit.benchmark.record.compare import compare_records
        from allkit.benchmark.record.record import load
        from allkit.cli.bench_tables import print_comparison

        print_comparison(compare_records(*map(load, compare)))
        return
    from allkit.model.file import model_files

    models = model_files(models)
    for path in written:
        check_replaceable(path, [*models, *filter(None, (source, split_file))])
    if plot:
        from allkit.report.bench_charts import check_plot

        check_plot(plot)
    from allkit.benchmark.record.choose import Budget, recommend

    if source:
        from allkit.benchmark.record.record import load

        record = load(source)
    else:
        texts = [path for path in written if path != plot]
        record = _measured(texts, models, data, split_file, device, batches, seconds, queries, rounds)
    failed = any("error" in row for row in record["rows"])
    recommendation = recommend(record, Budget(*budget), margin / 100)
    _show(record, recommendation, wide, json_file, csv, markdown, report)
    if plot:
        from allkit.report.bench_charts import write_plot

        write_plot(record, plot)
    click.get_current_context().exit(int(failed or (limited and recommendation.model is None)))


def _check_usage(models: Sequence[Path], source: Path | None, compare: tuple[Path, Path] | None, more: bool) -> None:
    if source and (compare or models):
        raise click.UsageError("--from shows one record: leave out the models and --compare")
    if compare and (models or more):
        raise click.UsageError("--compare reads two records and prints: leave out the models, files and budgets")


def _measured(texts: Sequence[Path], models: Sequence[Path], data: Path, *others: Any) -> Mapping[str, Any]:
    """Measure the models. texts: files that are written afterwards, and must not be one of the images."""
    from allkit.benchmark.job import bench as bench_models
    from allkit.cli.progress import ProgressDisplay
    from allkit.data.index import scan

    named = click.get_current_context().get_parameter_source("data") is not ParameterSource.DEFAULT
    root = data if named or data.is_dir() else None
    if root is None:
        say(
            f"no --data or $ALLKIT_DATA is given and there is no ./{data}: measuring on synthetic smears, no accuracy",
            err=True,
        )
    dataset = scan(root) if root else None
    for path in texts:
        check_text_file(path, [*models, *(dataset.root / name for name in (dataset.paths if dataset else ()))])
    with ProgressDisplay() as progress:
        return bench_models(BenchOptions(models, root, *others), progress=progress).to_dict()


def _show(
    record: Mapping[str, Any],
    recommendation: Recommendation,
    wide: bool,
    json_file: Path | None,
    csv: Path | None,
    markdown: Path | None,
    report: Path | None,
) -> None:
    """Print the record and write it in every form that was asked for."""
    from allkit.benchmark.record.record import as_csv, as_markdown
    from allkit.cli.bench_tables import print_record

    write_record({**record, "recommendation": recommendation._asdict()}, json_file, compact=True)
    if json_file != STDOUT:
        print_record(record, wide)
        say(f"\n{recommendation.sentence}")
    if csv:
        write_text(csv, as_csv(record, recommendation.model))
    if markdown:
        write_text(markdown, as_markdown(record, recommendation.sentence))
    if report:
        from allkit.report.bench_page import bench_page

        write_text(report, bench_page(record, recommendation))

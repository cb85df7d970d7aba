"""Progress on stderr for long work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from allkit.cli.console import Description, stderr
from allkit.data.index import Dataset, Images, read
from allkit.imaging.pixel_path import PixelPath
from allkit.runs.recipe import Recipe
from allkit.support.text import visible


@contextmanager
def counting(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar with a count and the time left; yields what to call once an item."""
    columns = (Description(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)


def read_with_progress(dataset: Dataset, pixels: PixelPath | None = None) -> Images:
    """`dataset.index.read` behind a bar, followed by what was left out and why."""
    with counting("reading images", len(dataset)) as advance:
        images = read(dataset, pixels, advance)
    warn_skipped(images.dataset)
    return images


def warn_skipped(dataset: Dataset, shown: int = 5) -> None:
    """One counted warning for the files left out, naming the first few."""
    if not dataset.skipped:
        return
    stderr.print(f"warning: {len(dataset.skipped)} file(s) left out:", style="yellow")
    for path, reason in list(dataset.skipped.items())[:shown]:
        stderr.print(f"  {visible(path)}: {visible(reason)}")
    if len(dataset.skipped) > shown:
        stderr.print(f"  and {len(dataset.skipped) - shown} more")


class TrainingProgress:
    """A bar over all steps with loss, accuracy and time left, and a line for each finished epoch."""

    def __init__(self, recipe: Recipe):
        self._epochs = recipe.epochs
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(recipe.epochs)),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  accuracy {task.fields[accuracy]:.4f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=stderr,
        )
        self._task = self._progress.add_task("", total=None, epoch=0, loss=float("nan"), accuracy=float("nan"))

    def __enter__(self) -> TrainingProgress:
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def on_step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        self._progress.update(
            self._task,
            total=self._epochs * steps,
            completed=(epoch - 1) * steps + step,
            epoch=epoch,
            loss=loss,
            accuracy=accuracy,
        )

    def on_epoch(self, history: Sequence) -> None:
        row = history[-1]
        self._progress.console.print(
            f"epoch {row.epoch:3d}  loss {row.loss:.4f}  accuracy {row.accuracy:.4f}  "
            f"validation loss {row.validation_loss:.4f}  accuracy {row.validation_accuracy:.4f}  {row.seconds:.0f} s",
            soft_wrap=True,
        )

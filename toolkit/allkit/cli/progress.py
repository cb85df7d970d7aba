"""Progress on stderr for long work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from allkit.cli.console import Description, stderr
from allkit.cli.tables import print_metrics
from allkit.cli.terminal import say
from allkit.data.index import Dataset, Images, read
from allkit.imaging.pixel_path import PixelPath
from allkit.support.text import visible
from allkit.training.callback import TrainingCallback

if TYPE_CHECKING:
    from allkit.runs.history import Epoch
    from allkit.runs.run import Run
    from allkit.training.job import TrainResult


def _counting_columns() -> tuple[ProgressColumn, ...]:
    return Description(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()


@contextmanager
def counting(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar with a count and the time left; yields what to call after each item."""
    with Progress(*_counting_columns(), console=stderr, transient=True) as progress:
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


class TrainingDisplay(TrainingCallback):
    """Shows a training: a bar while images are read, one over all steps, a line per epoch, and the metrics at the end.

    epochs: of the recipe. A context manager: whatever ends the training, the bar is closed.
    """

    def __init__(self, epochs: int):
        self._epochs = epochs
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> TrainingDisplay:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _open(self, *columns: ProgressColumn, title: str, total: int | None, transient: bool, **named: Any) -> None:
        self.close()
        self._bar = Progress(*columns, console=stderr, transient=transient)
        self._task = self._bar.add_task(title, total=total, **named)
        self._bar.start()

    def on_image(self, done: int, total: int) -> None:
        if done == 1:
            self._open(*_counting_columns(), title="reading images", total=total, transient=True)
        self._bar.update(self._task, completed=done)
        if done == total:
            self.close()

    def on_images(self, images: Images) -> None:
        warn_skipped(images.dataset)

    def on_split(self, remarks: Sequence[str]) -> None:
        for remark in remarks:
            stderr.print(visible(remark), soft_wrap=True)

    def on_already_finished(self, run: Run) -> None:
        say(f"{run.folder} is finished already", err=True)

    def on_begin(self, run: Run, device: str) -> None:
        self._epochs = run.settings.recipe.epochs
        say(f"training {run.settings.name} on {device}", err=True)
        columns = (
            Description(),
            BarColumn(),
            TextColumn("{task.fields[means]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self._open(
            *columns, title=f"epoch 1/{self._epochs}", total=None, transient=False, means="preparing the first step"
        )

    def on_step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        self._bar.update(
            self._task,
            description=f"epoch {epoch}/{self._epochs} step {step}/{steps}",
            total=self._epochs * steps,
            completed=(epoch - 1) * steps + step,
            means=f"loss {loss:.4f}  accuracy {accuracy:.4f}",
        )

    def on_epoch(self, history: Sequence[Epoch]) -> None:
        row = history[-1]
        stderr.print(
            f"epoch {row.epoch:3d}  loss {row.loss:.4f}  accuracy {row.accuracy:.4f}  "
            f"validation loss {row.validation_loss:.4f}  accuracy {row.validation_accuracy:.4f}  {row.seconds:.0f} s",
            soft_wrap=True,
        )

    def on_end(self, result: TrainResult) -> None:
        self.close()
        print_metrics(result.metrics, f"{result.name}, test part of the {result.split}", result.baseline)
        say(f"\nrun folder: {result.folder}\nnext: allkit export --run {result.folder}")

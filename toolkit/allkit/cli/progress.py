"""Progress on stderr for long work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)

from allkit.cli.console import Description, stderr
from allkit.cli.tables import print_metrics
from allkit.cli.terminal import say
from allkit.support.progress import Progress
from allkit.training.callback import TrainingCallback

if TYPE_CHECKING:
    from allkit.runs.history import Epoch
    from allkit.runs.run import Run
    from allkit.training.job import TrainResult


class ProgressDisplay(Progress):
    """A bar for the work at hand, which is gone when that is done, and a line for each note.

    A context manager: whatever ends the work, the bar is closed.
    """

    def __init__(self):
        self._bar: Bar | None = None
        self._task = TaskID(0)

    def __enter__(self):
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def update(self, what: str, done: float) -> None:
        if self._bar is None:
            self._open(Description(), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), total=1.0)
        self._bar.update(self._task, description=what, completed=done)
        if done >= 1:
            self.close()

    def note(self, text: str) -> None:
        stderr.print(text, style="yellow" if text.startswith("warning") else None, soft_wrap=True)

    def _open(self, *columns: ProgressColumn, total: float | None, transient: bool = True, **shown: Any) -> None:
        self.close()
        self._bar = Bar(*columns, console=stderr, transient=transient)
        self._task = self._bar.add_task("", total=total, **shown)
        self._bar.start()


class TrainingDisplay(ProgressDisplay, TrainingCallback):
    """Shows a training: a bar over all steps, a line per epoch, and the metrics at the end."""

    def on_begin(self, run: Run, device: str) -> None:
        self._epochs = run.settings.recipe.epochs
        say(f"training {run.settings.name} on {device}", err=True)
        shown = TextColumn("{task.fields[shown]}")
        self._open(shown, BarColumn(), TimeRemainingColumn(), TextColumn("left"), total=None, transient=False, shown="")

    def on_step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        means = f"loss {loss:.4f}  accuracy {accuracy:.4f}"
        self._bar.update(
            self._task,
            total=self._epochs * steps,
            completed=(epoch - 1) * steps + step,
            shown=f"epoch {epoch}/{self._epochs}  step {step}/{steps}  {means}",
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

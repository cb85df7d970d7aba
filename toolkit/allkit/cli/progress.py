"""Progress of long work on stderr: a bar on a terminal, a line a minute in a log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from allkit.cli.console import Description, stderr
from allkit.cli.tables import print_metrics
from allkit.cli.terminal import LOG_SECONDS, say
from allkit.support.progress import Progress
from allkit.training.callback import TrainingCallback

if TYPE_CHECKING:
    from allkit.runs.history import Epoch
    from allkit.runs.run import Run
    from allkit.runs.settings import Settings
    from allkit.training.job import TrainResult

# Before that an estimate of the end is a guess: the first step compiles the network.
_ESTIMATE_SECONDS, _ESTIMATE_STEPS = 5.0, 4
# A training that takes longer than this is announced with its length.
_LONG_SECONDS = 60.0
# One that takes longer than this is set beside a network that a computer without a GPU trains in well under an hour.
_VERY_LONG_SECONDS = 3600.0
_SLIM_WIDTH, _SLIM_SIZE_PX = 0.25, 112


class ProgressDisplay(Progress):
    """A bar for the work at hand, which is gone when that is done, and a line for each note.

    Where stderr is no terminal, a line is printed each minute instead. A context manager: whatever ends the work, the
    bar is closed.
    """

    def __init__(self):
        self._bar: Bar | None = None
        self._pace = _Pace()
        self._what = ""
        self._logged = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def update(self, what: str, done: float) -> None:
        if what != self._what:
            self.close()
            self._what, self._pace = what, _Pace()
        self._show(what, f"{done:.0%}" if done else "", done)
        if done >= 1:
            self.close()
            self._what, self._pace = "", _Pace()

    def note(self, text: str) -> None:
        stderr.print(text, style="yellow" if text.startswith("warning") else None, soft_wrap=True)

    def _show(self, what: str, state: str, done: float) -> None:
        """Show the share `done`, from 0 to 1, of the work; 0 is work whose length is unknown so far."""
        left = self._pace.left(done)
        state += f"  {duration(left)} left" if left else ""
        if not stderr.is_terminal:
            if time.monotonic() - self._logged >= LOG_SECONDS:
                self._log(f"{what}  {state}")
            return
        if self._bar is None:
            self._bar = Bar(
                Description(),
                BarColumn(20),
                TextColumn("{task.fields[state]}"),
                TimeElapsedColumn(),
                console=stderr,
                transient=True,
            )
            self._bar.add_task("", total=None, state="")
            self._bar.start()
        self._bar.update(
            self._bar.task_ids[0], description=what, completed=done, total=1.0 if done else None, state=state
        )

    def _log(self, line: str) -> None:
        self._logged = time.monotonic()
        stderr.print(line, soft_wrap=True)


class TrainingDisplay(ProgressDisplay, TrainingCallback):
    """Shows a training: a bar over all steps, a line per epoch, and the metrics at the end."""

    def on_begin(self, run: Run, device: str) -> None:
        self.close()
        self._settings, self._epochs = run.settings, run.settings.recipe.epochs
        self._pace, self._announced = _Pace(), False
        say(f"training {run.settings.name} on {device}", err=True)
        self._show("first step, which also compiles the network", "", 0.0)

    def on_step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        done = ((epoch - 1) * steps + step) / (self._epochs * steps)
        state = f"step {step}/{steps}  loss {loss:.4f}  accuracy {accuracy:.4f}"
        self._show(f"epoch {epoch}/{self._epochs}", state, done)
        left = self._pace.left(done)
        if left and not self._announced:
            self._announced = True
            if left > _LONG_SECONDS:
                self._log(f"{self._epochs - epoch + 1} epochs of {steps} steps: about {duration(left)}")
            if left > _VERY_LONG_SECONDS and (share := _slim_share(self._settings)) < 0.5:
                slim = f"--width {_SLIM_WIDTH} " if self._settings.network.has_width else ""
                self._log(f"{slim}--size {_SLIM_SIZE_PX} would need about {share:.0%} of the computation")

    def on_epoch(self, history: Sequence[Epoch]) -> None:
        row = history[-1]
        self._log(
            f"epoch {row.epoch:3d}  loss {row.loss:.4f}  accuracy {row.accuracy:.4f}  "
            f"validation loss {row.validation_loss:.4f}  accuracy {row.validation_accuracy:.4f}  {row.seconds:.0f} s",
        )

    def on_end(self, result: TrainResult) -> None:
        self.close()
        print_metrics(result.metrics, f"{result.name}, test part of the {result.split}", result.baseline)
        say(f"\nrun folder: {result.folder}\nnext: allkit export --run {result.folder}")


def _slim_share(settings: Settings) -> float:
    """The computation of the slim network as a share: that of a convolution grows with the square of either number."""
    narrower = _SLIM_WIDTH / settings.width if settings.network.has_width else 1
    return (narrower * _SLIM_SIZE_PX / settings.pixels.size_px) ** 2


class _Pace:
    """How long is left, from the share of the work that was done since the first sign of progress."""

    def __init__(self):
        self._first: tuple[float, float] | None = None
        self._signs = 0

    def left(self, done: float) -> float | None:
        """Seconds until the share 1, or None while that cannot be told. done: the share so far."""
        if not done:
            return None
        now = time.monotonic()
        self._signs += 1
        if self._first is None:
            self._first = (now, done)
        began, share = self._first
        if done <= share or now - began < _ESTIMATE_SECONDS or self._signs < _ESTIMATE_STEPS:
            return None
        return (now - began) / (done - share) * (1 - done)


def duration(seconds: float) -> str:
    """A length of time as `45 s`, `12 min`, `5 h 10 min` or `2 d 3 h`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if (minutes := round(seconds / 60)) < 60:
        return f"{minutes} min"
    if (hours := minutes // 60) < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"

"""What a training reports while it runs, to whoever started it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from allkit.support.progress import Progress

if TYPE_CHECKING:
    from allkit.runs.history import Epoch
    from allkit.runs.run import Run
    from allkit.training.job import TrainResult


class TrainingCallback(Progress):
    """Every method does nothing: override those that are of interest.

    Raising KeyboardInterrupt in one of them stops the training; with `resume` it continues after the last finished
    epoch.
    """

    def on_begin(self, run: Run, device: str) -> None:
        """A run starts or resumes on `device`, such as "cpu:0"."""

    def on_step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        """Step `step` of `steps` of an epoch, all counted from 1; the means of the epoch so far."""

    def on_epoch(self, history: Sequence[Epoch]) -> None:
        """An epoch ended; `history` holds all epochs so far, those before a resume included."""

    def on_end(self, result: TrainResult) -> None:
        """A run, or a fold of a cross-validation, has been trained."""

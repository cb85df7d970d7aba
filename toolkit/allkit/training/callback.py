"""What a training reports while it runs, to whoever started it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allkit.data.index import Images
    from allkit.runs.history import Epoch
    from allkit.runs.run import Run
    from allkit.training.job import TrainResult


class TrainingCallback:
    """Every method does nothing: override those that are of interest.

    Raising KeyboardInterrupt in one of them stops the training; with `resume` it continues after the last finished
    epoch.
    """

    def on_image(self, done: int, total: int) -> None:
        """`done` of `total` images have been read."""

    def on_images(self, images: Images) -> None:
        """All images have been read; `images.dataset.skipped` names the files that were left out."""

    def on_split(self, remarks: Sequence[str]) -> None:
        """A new split was made; what should be known about its groups, in sentences."""

    def on_already_finished(self, run: Run) -> None:
        """The run that should be resumed is finished; nothing is trained."""

    def on_begin(self, run: Run, device: str) -> None:
        """A run starts or resumes on `device`, such as "cpu:0"."""

    def on_step(self, epoch: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        """Step `step` of `steps` of an epoch, all counted from 1; the means of the epoch so far."""

    def on_epoch(self, history: Sequence[Epoch]) -> None:
        """An epoch ended; `history` holds all epochs so far, those before a resume included."""

    def on_end(self, result: TrainResult) -> None:
        """A run, or a fold of a cross-validation, has been trained."""

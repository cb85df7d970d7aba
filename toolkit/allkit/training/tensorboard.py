"""The curves of a training for TensorBoard."""

from __future__ import annotations

from pathlib import Path

from allkit.errors import AllkitError
from allkit.runs.history import Epoch
from allkit.support.files import reason


class TensorBoard:
    """Writes one point per epoch below `folder`, in the sub-folders and under the names of Keras' callback.

    That callback belongs to `Model.fit`. Raises AllkitError where TensorBoard is not installed, or the folder cannot be
    written.
    """

    def __init__(self, folder: Path):
        try:
            from tensorboard.summary import Writer

            self._parts = {part: Writer(str(folder / part)) for part in ("train", "validation")}
        except ImportError as error:
            raise AllkitError("curves for TensorBoard need it: pip install tensorboard") from error
        except OSError as error:
            raise AllkitError(f"cannot write to {folder}: {reason(error)}; give another --tensorboard") from error

    def add(self, epoch: Epoch) -> None:
        """One point on each curve, at the number of the epoch counted from 0, as Keras counts."""
        shown = {
            "train": {"loss": epoch.loss, "accuracy": epoch.accuracy, "learning_rate": epoch.learning_rate},
            "validation": {"loss": epoch.validation_loss, "accuracy": epoch.validation_accuracy},
        }
        for part, values in shown.items():
            for name, value in values.items():
                self._parts[part].add_scalar(f"epoch_{name}", value, step=epoch.epoch - 1)
            self._parts[part].flush()

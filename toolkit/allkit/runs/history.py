"""The history of a training, one row per epoch, as it stands in a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from allkit.support.reading import NotNegative, Share

# A probability rounded to a little above 1 has a cross-entropy a little below 0.
_Loss = Annotated[float, Meta(ge=-1e-3, le=1e9)]


@dataclass(frozen=True)
class Epoch:
    """One row of the history. Losses are mean cross-entropies in nats; accuracies are shares."""

    epoch: Annotated[int, Meta(ge=1, le=10**6)]
    loss: _Loss
    accuracy: Share
    validation_loss: _Loss
    validation_accuracy: Share
    learning_rate: NotNegative
    seconds: NotNegative


def check_consecutive(history: Sequence[Epoch]) -> None:
    """ValueError unless the epochs are 1, 2, 3 and so on."""
    for number, row in enumerate(history, 1):
        if row.epoch != number:
            raise ValueError(f"epoch {row.epoch} stands where epoch {number} belongs")

"""Checks shared by the functions that take scores and labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from allkit.errors import AllkitError


def labelled_scores(scores: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return scores as float64 (n, k) and labels as int64 (n,).

    Raises AllkitError when there are no rows, the shapes do not match, a score is not finite or a label is not a column
    index.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise AllkitError(f"scores must be (n, k) and labels (n,), not {scores.shape} and {labels.shape}")
    if not len(scores):
        raise AllkitError("there are no labelled images to measure: give at least one")
    if not np.isfinite(scores).all():
        row = int(np.argmin(np.isfinite(scores).all(1)))
        raise AllkitError(
            f"row {row} of the scores is not finite: the model overflowed, or a logarithm of zero was taken"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise AllkitError(
            f"labels must be whole numbers from 0 to {scores.shape[1] - 1}, one for each column of scores"
        )
    return scores, labels.astype(np.int64)


def share(name: str, value: float) -> float:
    """Return `value` if it lies strictly between 0 and 1; raise AllkitError otherwise."""
    if not 0 < value < 1:
        raise AllkitError(f"{name} {value} is out of range: give a share between 0 and 1, such as 0.95")
    return float(value)

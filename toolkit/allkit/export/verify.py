"""Whether an exported file says what the trained network says, on real images.

Preprocessing that differs between training and use is the commonest cause of a model that
"got worse in production"; here both sides read the same files through the same pixel path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allkit.errors import AllkitError

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Verification:
    """n images compared; largest absolute difference of a probability; share with the same top class."""

    n: int
    max_probability_difference: float
    agreement: float
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        return self.max_probability_difference <= self.tolerance and self.agreement == 1.0


def compare(expected: np.ndarray, got: np.ndarray) -> Verification:
    """Compare probabilities (n, classes) of the trained network and of the exported file."""
    if expected.shape != got.shape or not len(got):
        raise AllkitError(f"cannot compare outputs of shapes {expected.shape} and {got.shape}")
    difference = float(np.abs(expected - got).max())
    # NaN compares false with everything; as infinity it fails the tolerance.
    difference = difference if np.isfinite(difference) else float("inf")
    agreement = float((expected.argmax(1) == got.argmax(1)).mean())
    return Verification(len(got), difference, agreement)

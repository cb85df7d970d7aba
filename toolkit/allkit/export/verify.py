"""Whether an exported file says what the trained network says, on real images.

Preprocessing that differs between training and use is the commonest cause of a model that
"got worse in production"; here both sides read the same files through the same pixel path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allkit.errors import AllkitError

TOLERANCE = 1e-4

# Of a distance; the threshold it is held against is a percentile of a few hundred images.
DISTANCE_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Verification:
    """n images compared; largest absolute difference of a probability; share with the same top class; largest
    relative difference of a distance."""

    n: int
    max_probability_difference: float
    agreement: float
    max_distance_difference: float
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        near = self.max_probability_difference <= self.tolerance and self.max_distance_difference <= DISTANCE_TOLERANCE
        return near and self.agreement == 1.0

    def __str__(self) -> str:
        return (
            f"on {self.n} images the largest probability difference is {self.max_probability_difference:.1e} (allowed "
            f"{self.tolerance:.0e}), the same class on {self.agreement:.1%}, the largest relative difference of a "
            f"distance {self.max_distance_difference:.1e} (allowed {DISTANCE_TOLERANCE:.0e})"
        )


def compare(expected: tuple[np.ndarray, np.ndarray], got: tuple[np.ndarray, np.ndarray]) -> Verification:
    """Compare (probabilities (n, classes), distances (n,)) of the trained network and of the exported file."""
    shapes = [[array.shape for array in arrays] for arrays in (expected, got)]
    if shapes[0] != shapes[1] or not len(got[0]):
        raise AllkitError(f"cannot compare outputs of shapes {shapes[0]} and {shapes[1]}")
    return Verification(
        n=len(got[0]),
        max_probability_difference=_largest(expected[0] - got[0]),
        agreement=float((expected[0].argmax(1) == got[0].argmax(1)).mean()),
        max_distance_difference=_largest((expected[1] - got[1]) / np.maximum(expected[1], 1.0)),
    )


def _largest(differences: np.ndarray) -> float:
    largest = float(np.abs(differences).max())
    # NaN compares false with everything; as infinity it fails the tolerance.
    return largest if np.isfinite(largest) else float("inf")

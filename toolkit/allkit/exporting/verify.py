"""Whether an exported graph gives the outputs of the trained network, on real images.

Preprocessing that differs between training and inference is the most common cause of a model that gets worse in
production; here both sides read the same files through the same pixel path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from allkit.errors import AllkitError

TOLERANCE = 1e-4

# Of a distance; its threshold is a percentile of a few hundred images.
DISTANCE_TOLERANCE = 1e-2

# Of a heat map, relative to the largest value of all maps: a map of few positions can cancel to almost nothing.
HEATMAP_TOLERANCE = 1e-4

# A graph may differ from a network by so many times what the network's own rounding makes of it, up to a limit.
_ROUNDINGS, _MOST_ROUNDING = 4, 1e-2


@dataclass(frozen=True)
class Verification:
    """Outputs compared on n images.

    max_probability_difference: absolute. agreement: share with the same top class. max_distance_difference and
    max_heatmap_difference: relative, the latter None without a heat map. tolerance: of a probability.
    heatmap_tolerance: of a heat map. reference: what the trained network computed in.
    """

    n: int
    max_probability_difference: float
    agreement: float
    max_distance_difference: float
    max_heatmap_difference: float | None = None
    tolerance: float = TOLERANCE
    heatmap_tolerance: float = HEATMAP_TOLERANCE
    reference: str = "float32"

    @property
    def passed(self) -> bool:
        near = self.max_probability_difference <= self.tolerance and self.max_distance_difference <= DISTANCE_TOLERANCE
        shown = self.max_heatmap_difference is None or self.max_heatmap_difference <= self.heatmap_tolerance
        return near and shown and self.agreement == 1.0

    def __str__(self) -> str:
        heatmap = (
            ""
            if self.max_heatmap_difference is None
            else (f", of a heat map {self.max_heatmap_difference:.1e} (allowed {self.heatmap_tolerance:.0e})")
        )
        return (
            f"on {self.n} images the largest probability difference is {self.max_probability_difference:.1e} (allowed "
            f"{self.tolerance:.0e}), the same class on {self.agreement:.1%}, the largest relative difference of a "
            f"distance {self.max_distance_difference:.1e} (allowed {DISTANCE_TOLERANCE:.0e}){heatmap}"
        )


def verify(
    expected: Sequence[np.ndarray], got: Sequence[np.ndarray], rounding: Verification | None = None
) -> Verification:
    """Compare the trained network and the exported file: probabilities (n, classes), distances (n,), and heat maps
    (n, h, w) if there are any.

    rounding: of the trained network, its float64 outputs compared with the float32 ones. A network of a hundred layers
    may round by more than the tolerance of others; its graph cannot be nearer to it than it is to itself.
    """
    shapes = [[array.shape for array in arrays] for arrays in (expected, got)]
    if shapes[0] != shapes[1] or not len(got[0]):
        raise AllkitError(f"cannot compare outputs of shapes {shapes[0]} and {shapes[1]}")
    return Verification(
        n=len(got[0]),
        max_probability_difference=_largest(expected[0] - got[0]),
        agreement=float((expected[0].argmax(1) == got[0].argmax(1)).mean()),
        max_distance_difference=_largest((expected[1] - got[1]) / np.maximum(expected[1], 1.0)),
        max_heatmap_difference=_map_difference(*expected[2:], *got[2:]) if len(got) > 2 else None,
        tolerance=_allowed(TOLERANCE, rounding and rounding.max_probability_difference),
        heatmap_tolerance=_allowed(HEATMAP_TOLERANCE, rounding and rounding.max_heatmap_difference),
        reference="float64" if rounding else "float32",
    )


def _allowed(tolerance: float, rounding: float | None) -> float:
    if rounding is None or not np.isfinite(rounding):
        return tolerance
    return max(tolerance, min(_ROUNDINGS * rounding, _MOST_ROUNDING))


def _map_difference(expected: np.ndarray, got: np.ndarray) -> float:
    return _largest((expected - got) / max(np.abs(expected).max(), np.finfo(np.float32).tiny))


def _largest(differences: np.ndarray) -> float:
    largest = float(np.abs(differences).max())
    # NaN compares false with everything; as infinity it fails the tolerance.
    return largest if np.isfinite(largest) else float("inf")

"""Whether a smaller or faster variant keeps the accuracy of the float32 graph, on the validation images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from allkit.metrics import log_probabilities


@dataclass(frozen=True)
class Gate:
    """A variant against float32 on n labelled images of the validation part.

    accuracy, drop: of the variant, and how much lower it is than that of float32 (absolute; negative: higher).
    max_probability_difference: largest of all images and classes. agreement: share with the same top class.
    kl_divergence: mean Kullback-Leibler divergence of the variant's probabilities from those of float32, in nats.
    """

    n: int
    accuracy: float
    drop: float
    max_probability_difference: float
    agreement: float
    kl_divergence: float
    max_drop: float

    @property
    def passed(self) -> bool:
        # Counted in images, so that a drop of exactly max_drop passes in spite of rounding; NaN compares false.
        return round(self.drop * self.n) <= self.max_drop * self.n + 1e-9 and np.isfinite(self.kl_divergence)

    def to_dict(self) -> dict[str, Any]:
        return {"part": "validation", **asdict(self), "passed": bool(self.passed)}

    def __str__(self) -> str:
        return (
            f"accuracy {self.accuracy:.2%} on {self.n} validation images, drop {self.drop:.2%} (allowed "
            f"{self.max_drop:.2%}); largest probability difference {self.max_probability_difference:.4f}, the same "
            f"class on {self.agreement:.1%}, Kullback-Leibler divergence {self.kl_divergence:.1e}"
        )


def check(reference: np.ndarray, variant: np.ndarray, labels: np.ndarray, max_drop: float) -> Gate:
    """Compare probabilities (n, k) of float32 and of a variant; labels int (n,)."""
    before, after = reference.argmax(1) == labels, variant.argmax(1) == labels
    reference = np.asarray(reference, np.float64)
    divergence = (reference * (log_probabilities(reference) - log_probabilities(variant))).sum(1).mean()
    return Gate(
        n=len(labels),
        accuracy=float(after.mean()),
        drop=float(before.mean() - after.mean()),
        max_probability_difference=float(np.abs(reference - variant).max()),
        agreement=float((reference.argmax(1) == variant.argmax(1)).mean()),
        kl_divergence=float(divergence),
        max_drop=max_drop,
    )

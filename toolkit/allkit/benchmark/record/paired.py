"""Compare the accuracies of two models in a record, if measured on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from allkit.metrics import NonInferiority, PairedComparison, compare_accuracies, non_inferiority


def paired_accuracies(first: Mapping[str, Any], second: Mapping[str, Any]) -> PairedComparison | None:
    """Two accuracy records compared image by image; None if they are not of the same images."""
    found = _same_images(first, second)
    return found and compare_accuracies(*found)


def shortfall(reference: Mapping[str, Any], candidate: Mapping[str, Any], margin: float) -> NonInferiority | None:
    """Whether the candidate loses less than `margin` against the reference; None if they cannot be compared."""
    found = _same_images(reference, candidate)
    return found and non_inferiority(found[0], found[1], margin, found[2])


def _same_images(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray, Sequence[int] | None] | None:
    """Which images each got right, bool (n,), and their groups; None if the images differ or groups are missing."""
    a, b = (
        (found["metrics"]["n"], found["data_fingerprint"], (found["split"] or {}).get("hash"))
        for found in (first, second)
    )
    # Older records identify the measured images by their split only.
    if all("measured" in found for found in (first, second)):
        a, b = ((found["metrics"]["n"], found["measured"]) for found in (first, second))
    groups = first.get("groups") or second.get("groups")
    # Older records have no groups; under the random protocol, images are groups of their own but for identical files.
    grouped = (first["split"] or {}).get("protocol", "").startswith("grouped")
    if a != b or (grouped and groups is None):
        return None
    right = np.ones((2, a[0]), bool)
    for row, found in zip(right, (first, second), strict=True):
        row[found["wrong"]] = False
    return right[0], right[1], groups

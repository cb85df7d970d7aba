"""Statistics of classification results: pure functions of arrays.

Each module answers one question: how certain is a value (intervals), do two models differ (paired), is one no worse
than another (non_inferiority), are the probabilities calibrated (calibration), which classes can be ruled out
(conformal), do a few measurements differ (ranks). SciPy is imported where it is used, because it loads slowly.
"""

from allkit.metrics.calibration import (
    Reliability,
    expected_calibration_error,
    fit_temperature,
    log_probabilities,
    reliability,
    softmax,
)
from allkit.metrics.conformal import conformal_threshold
from allkit.metrics.intervals import Interval, cluster_bootstrap, effective_size, groups_worth, proportion, wilson
from allkit.metrics.non_inferiority import NonInferiority, non_inferiority
from allkit.metrics.paired import (
    SIGNIFICANT,
    PairedComparison,
    by_group,
    compare_accuracies,
    least_difference,
    sign_flip_exact,
)
from allkit.metrics.ranks import holm, mann_whitney_exact, paired_ratio, unpaired_ratio

__all__ = [
    "SIGNIFICANT",
    "Interval",
    "NonInferiority",
    "PairedComparison",
    "Reliability",
    "by_group",
    "cluster_bootstrap",
    "compare_accuracies",
    "conformal_threshold",
    "effective_size",
    "expected_calibration_error",
    "fit_temperature",
    "groups_worth",
    "holm",
    "least_difference",
    "log_probabilities",
    "mann_whitney_exact",
    "non_inferiority",
    "paired_ratio",
    "proportion",
    "reliability",
    "sign_flip_exact",
    "softmax",
    "unpaired_ratio",
    "wilson",
]

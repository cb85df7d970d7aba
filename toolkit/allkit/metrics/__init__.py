"""Statistics of classification results, in NumPy and SciPy's special functions.

One file a question: how sure is a figure (intervals), do two models differ (paired), is one as good as another
(non_inferiority), do the probabilities mean what they say (calibration), which classes can be ruled out (conformal), do
a few measurements differ (ranks).
All are pure functions of arrays; what a figure is called and where it is printed is decided above.
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

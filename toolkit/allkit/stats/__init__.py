"""Statistics of classification results in numpy and the standard library alone.

One file a question: how sure is a figure (intervals), do two models differ (paired), do the
probabilities mean what they say (calibration), which classes can be ruled out (conformal), do a few
measurements differ (ranks).
All are pure functions of arrays; what a figure is called and where it is printed is decided above.
"""

from allkit.stats.calibration import (
    Reliability,
    expected_calibration_error,
    fit_temperature,
    log_probabilities,
    reliability,
    softmax,
)
from allkit.stats.conformal import conformal_threshold
from allkit.stats.intervals import Interval, cluster_bootstrap, wilson
from allkit.stats.paired import SIGNIFICANT, mcnemar_exact
from allkit.stats.ranks import holm, mann_whitney_exact, ratio

__all__ = [
    "SIGNIFICANT",
    "Interval",
    "Reliability",
    "cluster_bootstrap",
    "conformal_threshold",
    "expected_calibration_error",
    "fit_temperature",
    "holm",
    "log_probabilities",
    "mann_whitney_exact",
    "mcnemar_exact",
    "ratio",
    "reliability",
    "softmax",
    "wilson",
]

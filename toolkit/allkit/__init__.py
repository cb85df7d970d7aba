"""allkit: from labelled blood-smear images to a small, fast, verified ONNX classifier.

Research use; not for diagnosis.
"""

import os

from allkit.cpus import limit_pools
from allkit.errors import AllkitError

# Builds of onnxruntime report their use to Microsoft and leave an identifier in the user's cache, unless this is set
# before they are loaded. Where images of patients are classified, nothing may leave the machine unasked.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
limit_pools()

__all__ = ["AllkitError", "Classifier", "Prediction", "__version__"]


def __getattr__(name: str):
    # The runtime loads onnxruntime and OpenCV; `allkit --help` must not wait for them.
    if name in ("Classifier", "Prediction"):
        from allkit.runtime import classifier

        return getattr(classifier, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("allkit")
    raise AttributeError(f"module 'allkit' has no attribute {name!r}")

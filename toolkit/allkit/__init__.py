"""allkit: from labelled blood-smear images to a small, fast, verified ONNX classifier.

Research use; not for diagnosis.
"""

import os

from allkit.errors import AllkitError
from allkit.support.cpus import limit_pools

# Builds of onnxruntime report their use to Microsoft and leave an identifier in the user's cache, unless this is set
# before they are loaded. Where images of patients are classified, nothing may leave the machine unasked.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
limit_pools()

# OpenCV reads its settings when it is loaded. A photograph of a microscope has 5 to 25 megapixels; a small file that
# unpacks to more is a trap. What OpenCV would write on stderr belongs into the row of the image that it is about.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**26))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

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

"""allkit: from labelled blood-smear images to a small, fast, verified ONNX classifier.

Research use; not for diagnosis.
"""

import importlib
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

# Imported when they are first used: the runtime loads onnxruntime and OpenCV, training and export load Keras.
_LAZY = {
    "Classifier": "allkit.runtime.classifier",
    "Prediction": "allkit.runtime.classifier",
    "AuditOptions": "allkit.auditing.job",
    "audit": "allkit.auditing.job",
    "BenchOptions": "allkit.benchmark.options",
    "BenchResult": "allkit.benchmark.job",
    "bench": "allkit.benchmark.job",
    "EvaluateOptions": "allkit.evaluation.job",
    "EvaluateResult": "allkit.evaluation.job",
    "evaluate": "allkit.evaluation.job",
    "ExportOptions": "allkit.exporting.options",
    "ExportResult": "allkit.exporting.job",
    "export": "allkit.exporting.job",
    "Progress": "allkit.support.progress",
    "Recipe": "allkit.runs.recipe",
    "RECIPES": "allkit.runs.recipe",
    "TrainOptions": "allkit.training.options",
    "TrainingCallback": "allkit.training.callback",
    "TrainResult": "allkit.training.job",
    "train": "allkit.training.job",
    "cross_validate": "allkit.training.job",
}

__all__ = ["AllkitError", "__version__", *_LAZY]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("allkit")
    raise AttributeError(f"module 'allkit' has no attribute {name!r}")

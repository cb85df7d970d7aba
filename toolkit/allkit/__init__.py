"""allkit: from labelled blood-smear images to a small, fast, verified ONNX classifier.

Research use; not for diagnosis.
"""

from importlib.metadata import version

from allkit.errors import AllkitError

__version__ = version("allkit")

__all__ = ["AllkitError", "Classifier", "Prediction", "__version__"]


def __getattr__(name: str):
    # The runtime loads onnxruntime and OpenCV; `allkit --help` must not wait for them.
    if name in ("Classifier", "Prediction"):
        from allkit.runtime import classifier

        return getattr(classifier, name)
    raise AttributeError(f"module 'allkit' has no attribute {name!r}")

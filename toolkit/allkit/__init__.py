"""allkit: from labelled blood-smear images to a small, fast, verified ONNX classifier.

Research use; not for diagnosis.
"""

from allkit.errors import AllkitError

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

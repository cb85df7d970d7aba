"""What must be set before Keras is used, and what a record says of it."""

from __future__ import annotations

import importlib
import os
import platform
from importlib.metadata import version

from allkit.support.extras import missing, require
from allkit.support.quiet import quiet


def prepare(*more: str) -> None:
    """Import Keras and make it deterministic; AllkitError when the training stack is not installed.

    more: libraries that are needed later on, beside those of every training.

    TensorFlow's deterministic kernels cost nothing measurable on a CPU and make a resumed training equal to an
    uninterrupted one.
    """
    require("train", *more)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # On processors without AVX-512 TensorFlow leaves out its faster convolutions, unless it is told.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        with quiet():
            import keras

            if keras.backend.backend() == "tensorflow":
                import tensorflow

                tensorflow.config.experimental.enable_op_determinism()
                tensorflow.config.list_logical_devices()
    except ImportError as error:
        raise missing("train", error.name or "keras") from error


def device() -> str:
    """Where Keras computes, as in `cpu:0` or `gpu:0`."""
    import keras

    return keras.distribution.list_devices()[0]


def versions() -> dict[str, str]:
    """Versions of what trained a model: library name to version."""
    import keras

    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("allkit", "keras", "numpy", "opencv-python-headless")},
        # TensorFlow goes by the names of several distributions.
        backend: importlib.import_module(backend).__version__,
    }

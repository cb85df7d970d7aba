"""What must be set before Keras is used, and what a record says of it."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from tempfile import TemporaryFile

from allkit.support.extras import missing, require


def prepare(*more: str) -> None:
    """Import Keras and make it deterministic; AllkitError when the training stack is not installed.

    more: libraries that are needed later on, beside those of every training.

    TensorFlow's deterministic kernels cost nothing measurable on a CPU and make a resumed training equal to an
    uninterrupted one.
    """
    require("train", *more)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _quiet():
            import keras

            if keras.backend.backend() == "tensorflow":
                import tensorflow

                tensorflow.config.experimental.enable_op_determinism()
                tensorflow.config.list_logical_devices()
    except ImportError as error:
        raise missing("train", error.name or "keras") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what libraries write to stderr while they load, and show it only if loading fails.

    TensorFlow writes a dozen lines at import, below Python and before it reads any setting.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    # Where there is no folder for temporary files Linux has memory for them.
    with os.fdopen(os.memfd_create("stderr"), "w+b") if hasattr(os, "memfd_create") else TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


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

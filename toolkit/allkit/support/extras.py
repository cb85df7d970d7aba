"""The libraries of the optional extras in pyproject.toml, and the error where one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from allkit.errors import AllkitError

_EVAL = ("scipy", "sklearn")
# By the names that are imported. TensorFlow is not among them: Keras trains on other backends too.
LIBRARIES = {
    "eval": _EVAL,
    "bench": (*_EVAL, "psutil", "pynvml"),
    "report": (*_EVAL, "jinja2", "matplotlib"),
    "train": (*_EVAL, "jinja2", "matplotlib", "keras"),
    "parquet": ("pyarrow",),
    "watch": ("watchfiles",),
    "serve": ("starlette", "uvicorn", "httptools", "prometheus_client"),
    "ray": ("ray", "pyarrow"),
}


def require(extra: str, *more: str) -> None:
    """Raise AllkitError unless the libraries of an extra are installed; none of them is loaded.

    more: libraries of the extra that only some of its uses need.
    """
    if absent := [name for name in (*LIBRARIES[extra], *more) if find_spec(name) is None]:
        raise missing(extra, *absent)


def missing(extra: str, *libraries: str) -> AllkitError:
    """The error for libraries that an extra would install."""
    return AllkitError(f'{", ".join(libraries)} not installed: pip install "allkit[{extra}]"')

"""A connection to a Ray cluster, and its errors as those of allkit."""

from __future__ import annotations

import logging
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import RayError

from allkit.errors import AllkitError, reason
from allkit.support.cpus import cores
from allkit.support.quiet import quiet

# How long the head of a cluster may take to answer.
_REACH_S = 10.0
# What Ray says of a worker that could not begin is a text.
_SAID = re.compile(r"AllkitError: (.+)")


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to a cluster, one of this machine where there is no other; AllkitError for what fails on it."""
    # What ends a job is raised, and told once.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    _check_reachable(address)
    with quiet(), _signals_kept():
        failure = _connect(address)
    if failure:
        raise AllkitError(
            f"cannot reach the Ray cluster {address or ''}: {failure}; one with tokens needs RAY_AUTH_MODE=token"
        ) from failure
    try:
        yield
    except Exception as error:
        raise _foreseen(error) from error
    finally:
        ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Leave to the caller what SIGTERM does, which Ray changes."""
    kept = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, kept)


def _connect(address: str | None) -> Exception | None:
    """Connect to a cluster, or start one; the error where that fails."""
    settings = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    try:
        ray.init(address or "auto", **settings)
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        if address or not isinstance(error, ConnectionError):
            return error
        # One more, for what takes a core beside the workers.
        ray.init("local", num_cpus=cores() + 1, **settings)
    return None


def _check_reachable(address: str | None) -> None:
    """Raise AllkitError when nothing listens at HOST:PORT, where Ray would try again for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()
    except (OSError, OverflowError) as error:
        raise AllkitError(f"cannot reach the Ray cluster {address}: {reason(error)}") from error


def _foreseen(error: Exception) -> Exception:
    """The AllkitError that ended a job, or one that says what Ray says; any other error as it is."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, AllkitError):
            return inner
        inner = getattr(inner, "cause", None) or inner.__cause__
    if found := _SAID.search(str(error)):
        return AllkitError(found[1])
    if not isinstance(error, RayError):
        return error
    return AllkitError(f"the cluster failed: {str(error).strip().splitlines()[0]}; the same job with --resume goes on")

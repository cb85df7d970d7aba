"""Many images into Parquet files on a cluster.

>>> classifier, output = Classifier(), place_of("s3://results/labels")
>>> tally, before = classify_on_cluster(classifier, sources_of(["s3://archive/smears"]), output)
>>> tally.labels
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from allkit.archive.listing import Source
from allkit.archive.shards import DEFAULT_COLUMNS, Columns, check_columns, repeated_name
from allkit.archive.storage import Place
from allkit.classification.job import Tally
from allkit.errors import AllkitError, reason
from allkit.runtime.classifier import Classifier
from allkit.support.cpus import cores
from allkit.support.quiet import quiet

# Ray tells its makers of each use, unless it is told not to; read when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# It calls what its own operators do errors (ray issue 53727); what ends a job is raised.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import ray
from ray.actor import ActorHandle
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig
from ray.exceptions import RayError

from allkit.cluster.output import KEY, Output
from allkit.cluster.source import IMAGES_BYTES, NAMES_BYTES, Images
from allkit.cluster.worker import Shared, Worker

# How often the caller hears how far it got.
_TICK_S = 1.0
# How long the head of a cluster may take to answer.
_REACH_S = 10.0
_SAID = re.compile(r"AllkitError: (.+)")
# Shares of a core, so that what lists and writes finds room beside the workers, and how many of these one of those
# serves: Ray would start a process for each share.
_WORKER, _LIGHT, _SERVED = 0.9, 0.05, 4


def classify_on_cluster(
    classifier: Classifier,
    sources: Sequence[Source],
    output: Place,
    address: str | None = None,
    columns: Columns = DEFAULT_COLUMNS,
    batch_size: int | None = None,
    resume: bool = False,
    on_tick: Callable[[int], None] = lambda done: None,
) -> tuple[Tally, int]:
    """Classify images with a worker on each core of a cluster, and write their rows as Parquet files.

    classifier: names the model and how images are read; workers have their own. address: of the cluster, such as
    head:6379; None for the one of RAY_ADDRESS or of this machine, or else one that is started for this job.
    columns: of Parquet files with images. resume: leave out the images that have rows, and try again what could not be
    read. on_tick: is told about every second how many images are done. Returns the tally of all rows in the
    output, and how many of them were there before.

    A file that cannot be read has its row with the error. Rows are in no order. Raises AllkitError as `Output` does,
    when the cluster cannot be reached, and when a worker fails.
    """
    shards = [shard for source in sources if source.kind == "shards" for shard in source]
    for shard in shards[:1]:
        check_columns(shard, columns)
    if twice := repeated_name(shards, columns):
        raise AllkitError(f"two images have the name {twice}: names must tell them apart")
    reading = {"lenient": classifier.lenient, "bits": classifier.bits, "mark_trained": classifier.mark_trained}
    target = Output(output, f"{classifier.model_identity} {reading}", resume)
    with _cluster(address):
        if resume:
            target.forget_failed()
        before = target.count()
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = IMAGES_BYTES if shards else NAMES_BYTES
        context.checkpoint_config = CheckpointConfig(
            KEY, target.checkpoint, override_filesystem=output.filesystem, delete_checkpoint_on_success=False
        )
        # What leaves out the rows of an earlier run takes a core of its own.
        workers = max(1, int(ray.cluster_resources()["CPU"]) - 1)
        light = -(-workers // _SERVED)
        shared = Shared.remote(classifier.model_path.read_bytes())
        options = {**reading, "batch_size": batch_size}
        found = Images(sources, columns)
        # Otherwise Ray cuts what a task finds into as many blocks as it likes to have.
        images = ray.data.read_datasource(found, num_cpus=_LIGHT, concurrency=light, override_num_blocks=found.tasks)
        rows = images.map_batches(
            Worker,
            fn_constructor_args=(shared, classifier.model_path.name, classifier.model_identity, options, sources),
            compute=ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
            num_cpus=_WORKER,
            batch_size=None,
            batch_format="pyarrow",
        )
        with _told(shared, on_tick):
            rows.write_parquet(
                output.path, filesystem=output.filesystem, ray_remote_args={"num_cpus": _LIGHT}, concurrency=light
            )
    return target.tally(), before


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
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


@contextmanager
def _told(shared: ActorHandle, on_tick: Callable[[int], None]) -> Iterator[None]:
    """Tell about every second how far it is."""
    ended = threading.Event()

    def tell() -> None:
        # Where the job has failed, its end says why.
        with suppress(RayError):
            while not ended.wait(_TICK_S):
                on_tick(ray.get(shared.done.remote()))

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _foreseen(error: Exception) -> Exception:
    """The AllkitError that ended a job, or one that says what Ray says; any other error as it is."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, AllkitError):
            return inner
        inner = getattr(inner, "cause", None) or inner.__cause__
    # That of a worker that could not begin is there as a text only.
    if found := _SAID.search(str(error)):
        return AllkitError(found[1])
    if not isinstance(error, RayError):
        return error
    return AllkitError(f"the cluster failed: {str(error).strip().splitlines()[0]}; the same job with --resume goes on")

"""Many images into Parquet files on a cluster.

>>> classifier, output = Classifier(), place_of("s3://results/labels")
>>> tally, before = classify_on_cluster(classifier, sources_of(["s3://archive/smears"]), output)
>>> tally.labels
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import ray
from ray.actor import ActorHandle
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig
from ray.exceptions import RayError

from allkit.archive.listing import Source, lies_in
from allkit.archive.shards import DEFAULT_COLUMNS, Columns, check_columns, repeated_name
from allkit.archive.storage import Place
from allkit.classification.job import Tally
from allkit.cluster.connection import connected
from allkit.cluster.output import KEY, Output
from allkit.cluster.source import IMAGES_BYTES, NAMES_BYTES, Images
from allkit.cluster.worker import Shared, Worker
from allkit.errors import AllkitError
from allkit.runtime.classifier import Classifier

# How often the caller hears how far it got.
_TICK_S = 1.0
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
    _check(sources, output, columns)
    reading = {"lenient": classifier.lenient, "bits": classifier.bits, "mark_trained": classifier.mark_trained}
    target = Output(output, f"{classifier.model_identity} {reading}", resume)
    with connected(address):
        if resume:
            target.forget_failed()
        before = target.count()
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = IMAGES_BYTES if sources[0].kind == "shards" else NAMES_BYTES
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


def _check(sources: Sequence[Source], output: Place, columns: Columns) -> None:
    """Raise AllkitError for what would go wrong later."""
    if inside := next((source.place for source in sources if lies_in(output, source.place)), None):
        raise AllkitError(f"{output.name} lies in {inside.name} and would be read with it: give another --output")
    shards = [shard for source in sources if source.kind == "shards" for shard in source]
    for shard in shards[:1]:
        check_columns(shard, columns)
    if twice := repeated_name(shards, columns):
        raise AllkitError(f"two images have the name {twice}: names must tell them apart")


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

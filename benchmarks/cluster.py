"""What Ray costs an image, and from it the time of ten million on paper.

    python benchmarks/cluster.py DATA --images 100000 > benchmarks/results/ray.json

The images of DATA are repeated under other names (links) in folders of a thousand. `allkit classify` on one core and on
two, and the same with `--ray` on one worker and on two, from the folders and from packed Parquet files, each as a user
runs it: time from the command to its end, the start included. A short run of each, over 500 images, has next to
nothing but the start. Plain runs may use as many cores as there are workers; Ray's driver and its servers have what is
left of the machine. The memory is the largest that the driver had.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from pyarrow import dataset

from allkit.runtime.inputs import expand
from allkit.runtime.machine import processor
from allkit.support.cpus import cores
from allkit.support.files import as_json

SHORT, FOLDER = 500, 1000
# What a run on paper assumes of a node.
NODE_CORES, IMAGES = 16, 10_000_000
BIN = Path(sys.executable).parent


def repeated(paths: Sequence[Path], count: int, folder: Path) -> Path:
    """A folder with links to the images, again and again under other names."""
    images = (path for again in repeat(paths) for path in again)
    for number, image in enumerate(islice(images, count)):
        place = folder / str(number // FOLDER)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}-{image.name}").symlink_to(image.absolute())
    return folder


@contextmanager
def cluster(workers: int) -> Iterator[str]:
    """The address of a cluster of this machine that runs so many workers."""
    words = ["--head", "--port", "0", "--include-dashboard", "false", "--disable-usage-stats"]
    started = subprocess.run(
        [BIN / "ray", "start", *words, "--num-cpus", str(workers + 1)], capture_output=True, text=True, check=True
    )
    try:
        yield next(line.split("'")[1] for line in started.stdout.splitlines() if "--address=" in line)
    finally:
        subprocess.run([BIN / "ray", "stop", "--force"], capture_output=True, check=True)


def timed(words: Sequence[object], workers: int | None = None) -> dict[str, float]:
    """Seconds of a command, and the most memory that it had in MiB. workers: on so many cores."""
    begin, most = time.perf_counter(), 0
    process = psutil.Popen(
        [BIN / "allkit", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if workers:
        process.cpu_affinity(list(range(workers)))
    while process.poll() is None:
        most = max(most, process.memory_info().rss)
        time.sleep(0.1)
    said = process.stderr.read()
    assert process.returncode == 0, said
    return {"seconds": round(time.perf_counter() - begin, 2), "memory_mib": round(most / 2**20)}


def measured(place: Path, sources: dict[str, Path], workers: int) -> dict[str, dict]:
    """Each way of a number of workers: the short run and the long one."""
    ways: dict[str, dict] = {}
    for length, source in sources.items():
        plain = place / f"plain-{length}-{workers}.parquet"
        ways.setdefault("plain", {})[length] = timed(["classify", source, "--output", plain], workers)
    with cluster(workers) as address:
        for kind in ("folders", "packed"):
            for length, source in sources.items():
                out = place / f"{kind}-{length}-{workers}"
                given = source if kind == "folders" else place / f"packed-{length}"
                result = timed(["classify", given, "--output", out, "--ray", address])
                ways.setdefault(kind, {})[length] = result
                plain = dataset.dataset(place / f"plain-{length}-{workers}.parquet").to_table().sort_by("path")
                assert dataset.dataset(out).to_table().sort_by("path").equals(plain), out
    return ways


def on_paper(ms_per_image: float, start_s: float) -> list[dict]:
    """The hours of ten million images on some nodes, if each core works as one did here."""
    work_s = IMAGES * ms_per_image / 1000
    return [
        {"nodes": nodes, "cores": nodes * NODE_CORES, "hours": round((start_s + work_s / nodes / NODE_CORES) / 3600, 3)}
        for nodes in (10, 100)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    given = parser.parse_args()
    os.environ["RAY_AUTH_MODE"] = "disabled"
    paths = expand([given.data])
    with TemporaryDirectory() as folder:
        place = Path(folder)
        counts = {"short": SHORT, "long": given.images}
        sources = {length: repeated(paths, count, place / length) for length, count in counts.items()}
        packing = {
            length: timed(["data", "pack", source, "--output", place / f"packed-{length}"])
            for length, source in sources.items()
        }
        record = {
            "machine": {"processor": processor(), "cores": cores()},
            "images": counts,
            "mean_bytes": round(sum(path.stat().st_size for path in paths) / len(paths)),
            "pack": packing["long"],
            "workers": {},
        }
        more = given.images - SHORT
        for workers in (1, 2):
            ways = measured(place, sources, workers)
            for way in ways.values():
                way["ms_per_image"] = round(1000 * (way["long"]["seconds"] - way["short"]["seconds"]) / more, 4)
                way["overhead_ms"] = round(way["ms_per_image"] - ways["plain"]["ms_per_image"], 4)
            record["workers"][workers] = ways
    one = record["workers"][1]
    record["ten_million"] = {
        "assumes": f"{NODE_CORES} cores a node, each as fast as the one worker here on packed files; storage, network "
        "and driver keep up; one start",
        "on": on_paper(one["packed"]["ms_per_image"], one["packed"]["short"]["seconds"]),
    }
    print(as_json(record, compact=True))


if __name__ == "__main__":
    main()

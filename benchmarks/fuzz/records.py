"""Mutated records and run folders, through the code that reads them.

    python benchmarks/fuzz/records.py --count 1500 --seed 0

Changes the records of `benchmarks/results` and a small run folder that it writes itself (bits; fields deleted, of
another type, renamed, huge, negative, not numbers; markup and control characters as text; files truncated or swapped),
and feeds them to `allkit report`, `allkit bench --from` and `--compare`, and to the readers of runs, splits and
checkpoints. Prints one JSON record and exits with 1 if anything raised an exception other than AllkitError, wrote a
control character to the terminal or a tag to a page, took more than 10 s, or more than 1 GiB. The training framework is
not needed.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from click.testing import CliRunner
from mutations import changed_bytes, changed_json

from allkit.cli.main import cli
from allkit.data.index import BASELINE
from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.metrics.classification import score
from allkit.runs.history import Epoch
from allkit.runs.recipe import SCRATCH
from allkit.runs.run import Run
from allkit.runs.settings import Settings
from allkit.support.files import content_hash
from allkit.training import checkpoint

RESULTS = Path(__file__).parents[1] / "results"
EXPORTED = Path(__file__).parents[2] / "exported"
MOST_SECONDS, MOST_MIB = 10, 1024

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Task(NamedTuple):
    """A kind of file, an intact example, and what reads a changed copy by its path."""

    kind: str
    source: Path
    reader: Callable[[Path], None]


# Shapes of the variables of a checkpoint.
VARIABLES = [np.full(shape, 0.5, np.float32) for shape in ((3, 3, 4), (4,), ())] + [np.array(7)]


def write_run(folder: Path) -> None:
    """Write a finished run without its network, from random predictions, and a checkpoint."""
    rng = np.random.default_rng(0)
    paths = [f"{name}/{name}-{i}.png" for name in ("Benign", "Early", "Pre") for i in range(20)]
    parts = {"train": paths[:40:2], "validation": paths[1:40:2], "test": paths[40:]}
    split = Split(
        "random",
        {"seed": 0, "validation": 0.1, "fold": 0, "folds": 10},
        {part: tuple(of) for part, of in parts.items()},
        {path: f"{i:064x}" for i, path in enumerate(paths)},
        {path: i for i, path in enumerate(paths)},
    )
    settings = Settings("vgg16", PixelPath(64), 0.25, 0, SCRATCH, ("Benign", "Early", "Pre"), "data")
    run = Run.create(folder, settings, split)
    probabilities = rng.dirichlet((1, 1, 1), 20)
    labels = np.array([settings.classes.index(path.split("/")[0]) for path in parts["test"]])
    run.write_history([Epoch(i, 1 / i, 0.5, 1.5 / i, 0.4, 1e-3, 2.0) for i in range(1, 6)])
    run.write_predictions(parts["test"], labels, probabilities)
    interval = {"value": 0.5, "low": 0.3, "high": 0.7}
    run.write_metrics(
        {
            "schema_version": 1,
            "part": "test",
            "metrics": score(labels, probabilities, settings.classes, np.arange(20), samples=20).to_dict(),
            "baseline": {"method": BASELINE, **interval},
            "training_seconds": 10.0,
            "device": "cpu",
            "settings": settings.public(),
            "split": split.summary(),
            "data_fingerprint": split.fingerprint,
            "parameters": 1000,
            "versions": {"python": "3.11"},
        }
    )
    checkpoint.save(run.checkpoint, VARIABLES, [Epoch(i, 1 / i, 0.5, 1.5, 0.4, 1e-3, 2.0) for i in range(1, 4)])


def invoke(*words: object) -> None:
    """Run a command; raises what it raised, and ValueError for output that acts on a terminal."""
    result = CliRunner().invoke(cli, [str(word) for word in words])
    if found := CONTROL.search(result.output):
        raise ValueError(f"the terminal was sent {found[0]!r}")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code == 2:
        raise ValueError(f"wrong usage: {result.output}")


def report(path: Path, *beside: Path) -> None:
    out = (path if path.is_dir() else path.parent).parent / "out"
    invoke("report", path, *beside, "--html", out / "r.html", "--markdown", out / "r.md")
    check_pages(out / "r.html", out / "r.md")


def bench(path: Path) -> None:
    out = path.parent.parent / "out"
    files = (f"--{kind}={out / f'b.{kind}'}" for kind in ("csv", "markdown", "report"))
    invoke("bench", "--from", path, "--budget-ms", 5, *files)
    check_pages(out / "b.markdown", out / "b.report")
    for pair in ((path, RESULTS / "bench.json"), (RESULTS / "bench.json", path)):
        invoke("bench", "--compare", *pair)


def evaluation(path: Path) -> None:
    report(path, EXPORTED)


def run_folder(path: Path) -> None:
    run = Run.open(path.parent)
    run.metrics(), run.read_history(), run.read_predictions()
    report(path.parent)


def check_pages(*paths: Path) -> None:
    if page := next((path for path in paths if "<script" in path.read_text(encoding="utf-8")), None):
        raise ValueError(f"{page.name} has a script")


def read_checkpoint(path: Path) -> None:
    checkpoint.load(path, VARIABLES, 10)


def tasks(run: Path) -> list[Task]:
    """What is changed and read; a kind with a single file is listed several times."""
    found = [Task("bench", RESULTS / "bench.json", bench)] * 8
    files = {content_hash(path) for path in EXPORTED.glob("*.onnx")}
    for path in sorted(RESULTS.rglob("*.json")):
        if isinstance(record := json.loads(path.read_text()), dict) and "metrics" in record:
            if "settings" in record:
                found.append(Task("training", path, report))
            elif record.get("sha256") in files:
                # Evaluations of other files, and older ones that do not identify theirs, are refused.
                found.append(Task("evaluation", path, evaluation))
    for name in ("run.json", "split.json", "metrics.json", "history.csv", "predictions.csv"):
        found += [Task(name, run / name, run_folder)] * 6
    found += [Task("split", run / "split.json", Split.load)] * 4
    return found + [Task("checkpoint", run / "checkpoint.npz", read_checkpoint)] * 8


class Fuzz:
    """Changes files of `tasks` in a copy of the run folder `whole`, has them read, and counts the outcomes."""

    def __init__(self, whole: Path, every: Sequence[Task], seed: int):
        self._whole, self._every, self._rng = whole, every, random.Random(seed)
        self._work = whole.parent / "work" / "run"
        (self._work.parent / "out").mkdir(parents=True, exist_ok=True)
        # The process may have been larger before, and grows a little by itself.
        self._most_mib = max(MOST_MIB, peak_mib() + MOST_MIB // 4)
        self.read, self.refused = Counter(), Counter()
        self.slowest_s = 0.0
        self.faults: list[str] = []

    def unchanged(self) -> None:
        """Read every file unchanged; exceptions pass through."""
        for task in dict.fromkeys(self._every):
            task.reader(self._copied(task))

    def once(self) -> None:
        """Read one changed file."""
        task, other = self._rng.choice(self._every), self._rng.choice(self._every)
        path, data = self._copied(task), task.source.read_bytes()
        if path.suffix == ".json" and self._rng.random() < 0.7:
            path.write_text(changed_json(data.decode(), self._rng))
        else:
            path.write_bytes(changed_bytes(data, self._rng, other.source.read_bytes()))
        start = time.perf_counter()
        # A read that never returns, not even to Python, ends the script and reports its place.
        faulthandler.dump_traceback_later(3 * MOST_SECONDS, exit=True)
        try:
            task.reader(path)
            self.read[task.kind] += 1
        except AllkitError:
            self.refused[task.kind] += 1
        except Exception as error:
            # Any other exception is what this script looks for.
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name} {where.lineno}"
            self._fault(task, f"{type(error).__name__} {str(error)[:200]} ({place})", path)
        faulthandler.cancel_dump_traceback_later()
        seconds = time.perf_counter() - start
        self.slowest_s = max(self.slowest_s, seconds)
        if seconds > MOST_SECONDS:
            self._fault(task, f"took {seconds:.1f} s", path)
        if peak_mib() > self._most_mib:
            self._fault(task, f"{peak_mib()} MiB", path)
            self._most_mib = peak_mib()

    def _copied(self, task: Task) -> Path:
        """The file in a fresh copy of the run folder."""
        shutil.rmtree(self._work, ignore_errors=True)
        shutil.copytree(self._whole, self._work)
        shutil.copy(task.source, self._work / task.source.name)
        return self._work / task.source.name

    def _fault(self, task: Task, words: str, path: Path) -> None:
        """Record the fault and keep the file."""
        kept = Path(tempfile.gettempdir(), f"allkit-fault-{len(self.faults)}{path.suffix}")
        shutil.copy(path, kept)
        self.faults.append(f"{task.kind}: {words}, {kept}")


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        write_run(whole)
        fuzz = Fuzz(whole, tasks(whole), given.seed)
        fuzz.unchanged()
        for _ in range(given.count):
            fuzz.once()
    record = {
        "count": given.count,
        "seed": given.seed,
        "read": dict(sorted(fuzz.read.items())),
        "refused": dict(sorted(fuzz.refused.items())),
        "slowest_s": round(fuzz.slowest_s, 2),
        "peak_mib": peak_mib(),
        "faults": fuzz.faults,
    }
    print(json.dumps(record, indent=1))
    sys.exit(bool(fuzz.faults))


if __name__ == "__main__":
    main()

"""Damaged journals of `allkit classify --output`, and what a resumed run makes of them.

    python benchmarks/fuzz/journals.py --count 1500 --seed 0

Classifies a few drawn images with the model that ships and damages the journal again and again: bits flipped, bytes
overwritten, inserted or removed, truncated, lines doubled, swapped, spliced, edited or from another model. The command
with --resume, sometimes interrupted once more, must then give exactly the rows of an uninterrupted run, or refuse a row
of another model with a clear error and leave the output as it is. Prints one JSON record and exits with 1 if anything
else happened, or took more than 10 s or 1 GiB.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from click.testing import CliRunner

import allkit
from allkit import Classifier
from allkit.cli.classify import classify
from allkit.errors import AllkitError

IMAGES, MOST_SECONDS, MOST_MIB = 10, 10, 1024
OUTPUT, JOURNAL = Path("out.csv"), Path(".out.csv.journal")
WORDS = ["images", "--format", "csv", "--output", str(OUTPUT), "--device", "cpu"]

Lines = list[bytes]
Damage = Callable[[Lines, random.Random], bytes]


class Stopping:
    """A classifier that is loaded once, and interrupted after a number of predictions."""

    def __init__(self, classifier: Classifier):
        self._classifier = classifier
        self.most: int | None = None

    def __call__(self, images):
        yield from itertools.islice(self._classifier(images), self.most)
        if self.most is not None:
            raise KeyboardInterrupt

    def __getattr__(self, name: str):
        return getattr(self._classifier, name)


def draw_images(rng: np.random.Generator) -> None:
    """Draw images whose rows all differ, with awkward names, and a file that is not an image."""
    os.mkdir("images")
    for i in range(IMAGES):
        size = int(rng.integers(40, 90))
        picture = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        name = f"images/{i}, “smear”\n.png" if i % 3 else f"images/{i}.png"
        Path(name).write_bytes(cv2.imencode(".png", cv2.resize(picture, (size, size)))[1].tobytes())
    Path("images/broken.png").write_bytes(b"no image")
    if sys.platform == "linux":
        with open(b"images/\xff.png", "wb") as stream:
            stream.write(b"none either")


def flip(lines: Lines, rng: random.Random) -> bytes:
    data = bytearray(b"".join(lines))
    for _ in range(rng.choice((1, 1, 1, 2, 20))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def overwrite(lines: Lines, rng: random.Random) -> bytes:
    data = bytearray(b"".join(lines))
    at, length = rng.randrange(len(data)), rng.choice((1, 8, 512))
    data[at : at + length] = rng.choice((bytes(length), rng.randbytes(length), b"\n" * length))
    return bytes(data)


def insert(lines: Lines, rng: random.Random) -> bytes:
    data = b"".join(lines)
    at = rng.randrange(len(data))
    return data[:at] + rng.choice((b"\n", b"\r\n", b"\0", rng.randbytes(30))) + data[at:]


def leave_out(lines: Lines, rng: random.Random) -> bytes:
    data = b"".join(lines)
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 2, 300)) :]


def cut_off(lines: Lines, rng: random.Random) -> bytes:
    data = b"".join(lines)
    ends = list(itertools.accumulate(map(len, lines)))
    # As often close to the end of a line as anywhere.
    return data[: rng.choice((rng.randrange(len(data)), max(0, rng.choice(ends) - rng.randrange(3))))]


def shuffle(lines: Lines, rng: random.Random) -> bytes:
    return b"".join(rng.sample(lines, len(lines)))


def double(lines: Lines, rng: random.Random) -> bytes:
    return b"".join(rng.choices(lines, k=2 * len(lines)))


def splice(lines: Lines, rng: random.Random) -> bytes:
    one, other = rng.sample(lines, 2)
    at = rng.randrange(len(one))
    spliced = one[:at] + other[rng.choice((at, rng.randrange(len(other)))) :]
    return b"".join(spliced if line is one else line for line in lines)


def exchange(lines: Lines, rng: random.Random) -> bytes:
    """Put the path of one line into another, as valid JSON."""
    one, other = rng.sample(lines, 2)
    records = [json.loads(line.partition(b" ")[2]) for line in (one, other)]
    records[0]["path"] = records[1]["path"]
    exchanged = one.partition(b" ")[0] + b" " + json.dumps(records[0], separators=(",", ":")).encode() + b"\n"
    return b"".join(exchanged if line is one else line for line in lines)


def edit(lines: Lines, rng: random.Random) -> bytes:
    data = bytearray(b"".join(lines))
    digits = [at for at, byte in enumerate(data) if 48 <= byte < 58]
    for at in rng.sample(digits, rng.choice((1, 5))):
        data[at] = 48 + rng.randrange(10)
    return bytes(data)


def garbage(lines: Lines, rng: random.Random) -> bytes:
    texts = (b"", b"\n", b"{}\n", b"[]", b'{"model": "x"}\n', rng.randbytes(5000), b"[" * 100_000, b"x" * 2**20)
    return rng.choice(texts) + rng.choice((b"", b"".join(lines)))


DAMAGES: tuple[Damage, ...] = (
    flip, overwrite, insert, leave_out, cut_off, shuffle, double, splice, exchange, edit, garbage,
)  # fmt: skip


def command(classifier: Stopping, most: int | None, *words: str) -> int:
    """The exit status of a run that is interrupted after `most` new predictions."""
    allkit.Classifier = lambda *_, **__: classifier
    classifier.most = most
    return CliRunner().invoke(classify, [*WORDS, *words], catch_exceptions=False).exit_code


def journal_of(classifier: Stopping) -> Lines:
    """The lines of a run that was stopped after classifying every image."""
    command(classifier, IMAGES + 2)
    lines = JOURNAL.read_bytes().splitlines(keepends=True)
    JOURNAL.unlink()
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, here = time.perf_counter(), Path.cwd()
    counts: Counter[str] = Counter()
    violations: list[dict] = []
    slowest = 0.0

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        draw_images(np.random.default_rng(options.seed))
        times = {path: path.stat().st_mtime_ns for path in Path("images").glob("?.png")}
        classifier = Stopping(Classifier(device="cpu"))
        other = Stopping(Classifier(device="cpu", model=classifier.model_path))
        command(classifier, None)
        whole = OUTPUT.read_bytes()
        lines = journal_of(classifier)
        # The same file under another provider: rows that must not be mixed.
        other.provider = "AnotherExecutionProvider"
        foreign = journal_of(other)

        for number in range(options.count):
            rng = random.Random(f"{options.seed} {number}")
            damage = rng.choice(DAMAGES)
            mixed = rng.random() < 0.05
            data = damage(lines, rng)
            if mixed:
                data = rng.choice((data, b"".join(lines))).rstrip(b"\n") + b"\n" + rng.choice(foreign)
            JOURNAL.write_bytes(data)
            OUTPUT.write_bytes(b"old")
            for path, facts in times.items():
                # Sometimes an image that is newer than its line.
                time_ns = facts + (rng.random() < 0.05)
                os.utime(path, ns=(time_ns, time_ns))
            began, fault = time.perf_counter(), None
            try:
                if rng.random() < 0.3:
                    command(classifier, rng.randrange(4), "--resume")
                status = command(classifier, None, "--resume")
                outcome = "rows"
                if (status, OUTPUT.read_bytes()) != (1, whole) or JOURNAL.exists():
                    fault = f"other rows, or status {status}"
                elif mixed:
                    fault = "a row of another model was taken"
            except AllkitError as error:
                outcome = "refused"
                if not mixed or OUTPUT.read_bytes() != b"old" or "was made with another model" not in str(error):
                    fault = f"refused: {error}"
            except Exception:
                outcome, fault = "traceback", traceback.format_exc()
            seconds = time.perf_counter() - began
            slowest = max(slowest, seconds)
            counts[f"{damage.__name__}, of another model: {outcome}" if mixed else f"{damage.__name__}: {outcome}"] += 1
            if seconds > MOST_SECONDS:
                fault = fault or f"took {seconds:.1f} s"
            if fault:
                violations.append({"number": number, "damage": damage.__name__, "fault": fault})
        os.chdir(here)

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if peak > MOST_MIB:
        violations.append({"fault": f"took {peak:.0f} MiB"})
    record = {
        "count": options.count,
        "seed": options.seed,
        "counts": dict(sorted(counts.items())),
        "slowest_s": round(slowest, 3),
        "peak_mib": round(peak),
        "seconds": round(time.perf_counter() - start, 1),
        "violations": violations,
    }
    print(json.dumps(record, indent=1))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())

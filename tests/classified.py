"""`allkit classify` on a folder of two images whose rows are known."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from allkit.classification.journal import Journal
from allkit.cli.classify import classify
from allkit.runtime.default_model import name_default
from allkit.runtime.session import Model
from models import flat, tiny_model

# A class belongs to the set from probability 0.6 on, and an image is unfamiliar from distance 200 on.
CSV = """path,label,confidence,red,green,blue,error,prediction_set,uncertain,unfamiliar
images/smear2.png,red,0.615385,0.615385,0.307692,0.076923,,red,False,False
images/smear10.png,green,0.5,0.25,0.5,0.25,,,True,False
"""

JOURNAL = Path(".out.csv.journal")
ONE_BY_ONE = ("images", "--format", "csv", "--output", "out.csv", "--batch-size", 1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with exported/tiny.onnx, the default, and images/ that hold a red and a green image."""
    monkeypatch.chdir(tmp_path)
    Path("exported").mkdir()
    name_default(tiny_model(Path("exported/tiny.onnx")))
    Path("images").mkdir()
    # OpenCV writes BGR: the first is RGB (96, 64, 0), with the odds 8 : 4 : 1, the second (0, 32, 0), 1 : 2 : 1.
    cv2.imwrite("images/smear2.png", flat(0, 64, 96))
    cv2.imwrite("images/smear10.png", flat(0, 32, 0))
    return tmp_path


@pytest.fixture
def many(folder):
    """Twelve images whose rows all differ, and the CSV of a run that nothing stopped."""
    for i in range(10):
        cv2.imwrite(f"images/more{i}.png", flat(0, 0, 10 * i))
    assert run(*ONE_BY_ONE).exit_code == 0
    return Path("out.csv").read_text()


def run(*arguments, **options):
    return CliRunner().invoke(classify, [*map(str, arguments), "--device", "cpu"], catch_exceptions=False, **options)


def add_broken():
    Path("images/broken.jpg").write_bytes(b"\xff\xd8 not a jpeg")


def subprocess_classify(*arguments, **options):
    command = [sys.executable, "-m", "allkit", "classify", *arguments, "--device", "cpu"]
    # What a shell starts in the background ignores SIGINT, and so would this process.
    heard = (lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) if os.name == "posix" else None
    return subprocess.Popen(command, stderr=subprocess.PIPE, **{"preexec_fn": heard, **options})


def failing_at(monkeypatch, number, error):
    """Have the model fail with `error` at its run of that number; returns the sizes of the batches."""
    real, calls = Model.run, []

    def run(self, batch, heatmaps):
        calls.append(len(batch))
        if len(calls) == number:
            raise error
        return real(self, batch, heatmaps)

    monkeypatch.setattr(Model, "run", run)
    monkeypatch.setattr("allkit.runtime.plan.cores", lambda: 1)
    return calls


def stopped_after(monkeypatch, count):
    """Classify anew, and have it stopped after so many images; the bytes of the journal."""
    with monkeypatch.context() as patch:
        failing_at(patch, count + 1, KeyboardInterrupt())
        # After the last image the rows are left to be written.
        if count == 12:
            patch.setattr(Journal, "rows", interrupted_after(Journal.rows, 0))
        assert run(*ONE_BY_ONE).exit_code == 130
    return JOURNAL.read_bytes()


def classified_again(monkeypatch):
    """How many images a resumed run takes."""
    with monkeypatch.context() as patch:
        calls = failing_at(patch, 99, None)
        assert run(*ONE_BY_ONE, "--resume").exit_code == 0
    assert not JOURNAL.exists()
    return len(calls)


def interrupted_after(real, count):
    def rows(self, paths):
        yield from itertools.islice(real(self, paths), count)
        raise KeyboardInterrupt

    return rows

"""`allkit classify --ray` on a cluster of this machine: the rows of the command line, each once, whatever is killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("ray")

import psutil
from pyarrow import parquet

from allkit import AllkitError
from allkit.cli.main import cli
from allkit.data.synth import synthesize
from models import tiny_model

pytestmark = pytest.mark.slow

# Long names, of which fewer fit into a block: a job of some blocks needs fewer images.
LONG = "/".join(["-".join(["a-long-name"] * 18)] * 4)
MANY = 900


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of this machine."""
    ray = Path(sys.executable).with_name("ray")
    # Whether it asks for a token depends on what was run before on this machine.
    os.environ["RAY_AUTH_MODE"] = "disabled"
    words = [
        "start",
        "--head",
        "--port",
        "0",
        "--num-cpus",
        "3",
        "--include-dashboard",
        "false",
        "--disable-usage-stats",
    ]
    started = subprocess.run([ray, *words], capture_output=True, text=True, check=True)
    yield next(line.split("'")[1] for line in started.stdout.splitlines() if "--address=" in line)
    subprocess.run([ray, "stop", "--force"], capture_output=True, check=True)
    del os.environ["RAY_AUTH_MODE"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a model and images, among them one that is damaged and one whose name is no text."""
    monkeypatch.chdir(tmp_path)
    tiny_model(tmp_path / "m.onnx")
    synthesize(tmp_path / "images", 4, 64)
    (tmp_path / "images" / "broken.jpg").write_bytes(b"\xff\xd8 not a jpeg")
    (tmp_path / "images" / os.fsdecode(b"caf\xe9.jpg")).write_bytes((tmp_path / "images" / "broken.jpg").read_bytes())
    return tmp_path


@pytest.fixture
def many(place):
    """Many images, each of which takes its time."""
    shutil.rmtree("images")
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    cv2.imwrite("one.png", noise)
    folder = Path("images", LONG)
    folder.mkdir(parents=True)
    for number in range(MANY):
        os.link("one.png", folder / f"{number}.png")
    return place


def start(*words):
    command = [sys.executable, "-m", "allkit", "classify", *map(str, words), "--model", "m.onnx"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run(*words):
    """Exit status and all that was said."""
    process = start(*words)
    out, err = process.communicate(timeout=300)
    return process.returncode, out + err


def invoke(*words):
    return CliRunner().invoke(cli, list(map(str, words)))


def plain(*words):
    """The rows of the same images without a cluster."""
    Path("plain.parquet").unlink(missing_ok=True)
    invoke("classify", *words, "--model", "m.onnx", "--device", "cpu", "--output", "plain.parquet")
    return rows("plain.parquet")


def refusal(*words):
    """What is said where nothing begins: that needs no process of its own."""
    result = invoke("classify", *words, "--model", "m.onnx")
    assert isinstance(result.exception, AllkitError) or result.exit_code == 2, result.output
    return f"{result.stderr}{result.exception}"


def rows(name):
    """The rows of a Parquet file, or of all in a folder, by path."""
    paths = sorted(Path(name).glob("*.parquet")) if Path(name).is_dir() else [Path(name)]
    return sorted((row for path in paths for row in parquet.read_table(path).to_pylist()), key=lambda row: row["path"])


def until(condition, process):
    end = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def written(name="out"):
    """How many output files are whole."""
    return len([path for path in Path(f".{name}.journal/checkpoint").glob("*.parquet") if "pending" not in path.name])


def workers():
    return [
        one for one in psutil.process_iter(["cmdline"]) if "MapBatches(Worker)" in " ".join(one.info["cmdline"] or [])
    ]


def test_parquet_files_have_the_same_rows_and_a_cluster_is_started_where_there_is_none(place):
    assert invoke("data", "pack", "images", "--output", "packed").exit_code == 0
    status, told = run("packed", "--output", "out", "--ray")
    assert status == 1, told
    assert "wrote 18 row(s) to out" in told
    assert rows("out") == plain("images")


def test_rows_equal_those_of_the_command_line_and_a_resumed_job_tries_again(place, cluster):
    status, told = run("images", "missing.jpg", "--output", "out", "--ray", cluster)
    assert status == 1, told
    assert "3 of 19 image(s) could not be read" in told
    assert rows("out") == plain("images", "missing.jpg")
    assert len(rows("out")) == 19

    assert "add what is missing with --resume" in refusal("images", "--output", "out", "--ray", cluster)
    for name in ("images/broken.jpg", "missing.jpg", "images/new.jpg"):
        shutil.copy(next(Path("images").rglob("*1.jpg")), name)
    os.unlink(os.fsencode("images") + b"/caf\xe9.jpg")
    status, told = run("images", "missing.jpg", "--output", "out", "--ray", cluster, "--resume")
    assert status == 0, told
    assert "16 image(s) were classified before" in told
    assert rows("out") == plain("images", "missing.jpg")

    tiny_model(place / "m.onnx", size_px=16)
    told = refusal("images", "missing.jpg", "--output", "out", "--ray", cluster, "--resume")
    assert "made with another model or other options" in told


def test_killed_workers_and_a_killed_driver_lose_and_repeat_nothing(many, cluster):
    process = start("images", "--output", "out", "--ray", cluster)
    until(lambda: written() > 0, process)
    for worker in workers():
        worker.send_signal(signal.SIGKILL)
    until(lambda: written() > 1, process)
    process.kill()
    process.communicate()
    begun = written()
    # What its own driver began may still end, for a moment.
    until_gone = time.monotonic() + 60
    while workers() and time.monotonic() < until_gone:
        time.sleep(0.1)
    status, told = run("images", "--output", "out", "--ray", cluster, "--resume")
    assert status == 0, told
    assert begun > 1
    assert Counter(row["path"] for row in rows("out")) == Counter(
        f"images/{LONG}/{number}.png" for number in range(MANY)
    )
    assert {row["error"] for row in rows("out")} == {None}


def test_what_cannot_be_done_is_said(place):
    for words, advice in (
        (["images", "--output", "out", "--ray", "127.0.0.1:1"], "cannot reach the Ray cluster 127.0.0.1:1"),
        (["images", "--ray"], "name a folder, or a URI, with --output"),
        (["--output", "out", "--ray", "images", "m.onnx"], "took images for an address"),
        (["images", "--output", "out", "--ray", "--format", "csv"], "leave out --format"),
        (["images", "--output", "out", "--device", "cuda", "--ray"], "leave out --device"),
        (["images", "--output", "images/out", "--ray"], "images/out lies in images"),
    ):
        assert advice in refusal(*words)

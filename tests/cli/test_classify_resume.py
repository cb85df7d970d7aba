import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from allkit import AllkitError
from allkit.classification.journal import Journal
from allkit.runtime.default_model import name_default
from allkit.runtime.session import Model
from classified import CSV, JOURNAL, ONE_BY_ONE, add_broken, failing_at, interrupted_after, run, subprocess_classify
from models import flat, tiny_model

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these links nor these signals")


@pytest.mark.usefixtures("folder")
def test_a_failure_half_way_leaves_the_older_file_and_can_be_gone_on_with(monkeypatch):
    Path("out.csv").write_text("old")
    with monkeypatch.context() as patch:
        failing_at(patch, 2, AllkitError("out of memory"))
        with pytest.raises(AllkitError, match="out of memory"):
            run(*ONE_BY_ONE)
    assert Path("out.csv").read_text() == "old"
    assert sorted(os.listdir()) == [".out.csv.journal", "exported", "images", "out.csv"]
    calls = failing_at(monkeypatch, 99, None)
    result = run(*ONE_BY_ONE, "--resume")
    assert (result.exit_code, calls) == (0, [1])
    assert "1 image(s) were classified before" in result.stderr
    assert Path("out.csv").read_text() == CSV
    assert sorted(os.listdir()) == ["exported", "images", "out.csv"]


@pytest.mark.usefixtures("folder")
def test_an_interrupt_leaves_the_rows_so_far_and_says_how_to_go_on(monkeypatch):
    with monkeypatch.context() as patch:
        failing_at(patch, 2, KeyboardInterrupt())
        result = run(*ONE_BY_ONE)
    assert result.exit_code == 130
    assert "\n1 image(s), " in result.stderr
    assert "stopped after 1 of 2 image(s); out.csv holds them, the same command with --resume goes on" in result.stderr
    assert Path("out.csv").read_text() == "".join(CSV.splitlines(keepends=True)[:2])
    run(*ONE_BY_ONE, "--resume")
    assert Path("out.csv").read_text() == CSV


@pytest.mark.usefixtures("folder")
def test_a_resumed_run_takes_changed_and_unreadable_images_again(monkeypatch):
    add_broken()
    with monkeypatch.context() as patch:
        failing_at(patch, 2, KeyboardInterrupt())
        run(*ONE_BY_ONE)
    cv2.imwrite("images/broken.jpg", flat(0, 0, 96))
    # The first line that was truncated, as by a sudden end, is done again.
    journal = Path(".out.csv.journal")
    journal.write_bytes(journal.read_bytes() + b'{"path": "images/sm')
    assert run(*ONE_BY_ONE, "--resume").exit_code == 0
    lines = Path("out.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["images/broken.jpg", "red"],
        ["images/smear2.png", "red"],
        ["images/smear10.png", "green"],
    ]


@pytest.mark.usefixtures("folder")
def test_a_journal_of_another_model_is_not_gone_on_with(monkeypatch):
    with monkeypatch.context() as patch:
        failing_at(patch, 2, KeyboardInterrupt())
        run(*ONE_BY_ONE)
    name_default(tiny_model(Path("exported/tiny.onnx"), temperature=2.0))
    with pytest.raises(AllkitError, match="was made with another model"):
        run(*ONE_BY_ONE, "--resume")


@pytest.fixture
def under_way(folder):
    """A process that has classified some of 402 images into out.csv, where an older file is, and has more to do."""
    for i in range(400):
        cv2.imwrite(f"images/more{i}.png", np.zeros((900, 900, 3), np.uint8))
    Path("out.csv").write_text("old")
    process = subprocess_classify("images", "--format", "csv", "--output", "out.csv", stdout=subprocess.PIPE)
    journal = Path(".out.csv.journal")
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
        assert process.poll() is None
    return process


def test_sigterm_ends_it_like_an_interrupt(under_way):
    under_way.terminate()
    errors = under_way.communicate()[1].decode()
    assert under_way.returncode == 130
    assert "Traceback" not in errors
    rows = Path("out.csv").read_text().splitlines()
    assert 3 < len(rows) < 403
    assert f"stopped after {len(rows) - 1} of 402" in errors


def test_a_sudden_end_leaves_the_old_output_and_what_can_be_gone_on_from(under_way):
    under_way.kill()
    under_way.communicate()
    assert Path("out.csv").read_text() == "old"
    result = run("images", "--format", "csv", "--output", "out.csv", "--resume")
    kept = int(result.stderr.split(" image(s) were classified before")[0].split()[-1])
    assert 2 < kept < 402
    assert len(Path("out.csv").read_text().splitlines()) == 403
    assert sorted(os.listdir()) == ["exported", "images", "out.csv"]


@pytest.mark.usefixtures("folder")
def test_resume_needs_an_output():
    assert "give --output too" in run("images", "--resume").stderr


@pytest.mark.usefixtures("folder")
def test_an_image_that_changes_while_it_is_classified_is_taken_again(monkeypatch):
    real = Model.run

    def changing(self, batch, heatmaps):
        cv2.imwrite("images/smear2.png", flat(0, 0, 0, 30, 30))
        return real(self, batch, heatmaps)

    with monkeypatch.context() as patch:
        patch.setattr(Model, "run", changing)
        calls = failing_at(patch, 2, KeyboardInterrupt())
        run(*ONE_BY_ONE)
    assert len(calls) == 2
    calls = failing_at(monkeypatch, 99, None)
    run(*ONE_BY_ONE, "--resume")
    assert len(calls) == 2


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "line", ["[]", "1", "{}", '{"path": "x"}', '{"path": "x", "file": [1], "prediction": {"x": 1}}']
)
def test_a_journal_line_of_another_kind_ends_what_is_kept(monkeypatch, line):
    with monkeypatch.context() as patch:
        failing_at(patch, 2, KeyboardInterrupt())
        run(*ONE_BY_ONE)
    journal = Path(".out.csv.journal")
    journal.write_bytes(journal.read_bytes() + f"{line}\n".encode())
    assert run(*ONE_BY_ONE, "--resume").exit_code == 0
    assert Path("out.csv").read_text() == CSV


@pytest.mark.usefixtures("folder")
def test_an_image_that_changed_has_no_row_until_it_is_classified_again(monkeypatch):
    for stop in (2, 1):
        with monkeypatch.context() as patch:
            failing_at(patch, stop, KeyboardInterrupt())
            result = run(*ONE_BY_ONE, "--resume")
        cv2.imwrite("images/smear2.png", flat(0, 0, 96, 9, 9))
    assert "stopped after 0 of 2 image(s)" in result.stderr
    assert len(Path("out.csv").read_text().splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
def test_a_full_disk_is_an_error_that_can_be_gone_on_from(folder):
    import resource

    for i in range(40):
        cv2.imwrite(f"images/more{i}.png", flat(0, i, 0))
    Path("out.csv").write_text("old")
    process = subprocess_classify(
        "images", "--format", "csv", "--output", "out.csv",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)),
    )  # fmt: skip
    errors = process.communicate()[1].decode()
    assert process.returncode == 2
    assert errors.splitlines()[-1] == (
        "error: cannot write .out.csv.journal: File too large; fix that, then repeat the command with --resume"
    )
    assert Path("out.csv").read_text() == "old"
    result = run("images", "--format", "csv", "--output", "out.csv", "--resume")
    assert "image(s) were classified before" in result.stderr
    assert len(Path("out.csv").read_text().splitlines()) == 43


def noted():
    """How many images stand in the journal."""
    try:
        return JOURNAL.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whenever_it_is_ended_a_resumed_run_gives_the_rows_of_one_that_was_not(many, number):
    Path("out.csv").write_text("old")
    moment = random.Random(0)
    ended = 0
    for _ in range(5):
        process = subprocess_classify(*map(str, ONE_BY_ONE), "--resume")
        wanted = noted() + moment.randrange(6)
        while process.poll() is None and noted() < wanted:
            pass
        process.send_signal(number)
        errors = process.communicate(timeout=60)[1].decode()
        # Before the command has begun, Python itself speaks of the interrupt.
        assert "Traceback" not in errors or "KeyboardInterrupt" in errors
        ended += process.returncode != 0
    assert ended
    assert run(*ONE_BY_ONE, "--resume").exit_code == 0
    assert Path("out.csv").read_text() == many
    assert sorted(os.listdir()) == ["exported", "images", "out.csv"]


@posix
def test_a_folder_that_is_removed_meanwhile_costs_no_rows(many, monkeypatch):
    real = Model.run

    def removing(self, batch, heatmaps):
        shutil.rmtree("results", ignore_errors=True)
        return real(self, batch, heatmaps)

    monkeypatch.setattr(Model, "run", removing)
    assert run("images", "--format", "csv", "--output", "results/out.csv").exit_code == 0
    assert Path("results/out.csv").read_text() == many
    assert os.listdir("results") == ["out.csv"]


def test_an_interrupt_while_the_rows_are_written_keeps_them_for_the_next_run(many, monkeypatch):
    Path("out.csv").write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "rows", interrupted_after(Journal.rows, 3))
        result = run(*ONE_BY_ONE)
    assert result.exit_code == 130
    assert "the same command with --resume writes them" in result.stderr
    assert Path("out.csv").read_text() == "old"
    assert sorted(os.listdir()) == [".out.csv.journal", "exported", "images", "out.csv"]
    assert run(*ONE_BY_ONE, "--resume").exit_code == 0
    assert Path("out.csv").read_text() == many


MAP = {"method": "hirescam", "layer": "l", "height": 8, "width": 8, "stride_px": 1}


def drawn(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*.png")}


@pytest.mark.parametrize("first", [[], ["--heatmaps", "maps"]])
def test_a_resumed_run_draws_the_maps_of_all_images(many, monkeypatch, first):
    for i, path in enumerate(sorted(Path("images").iterdir())):
        picture = np.random.default_rng(i).integers(0, 256, (12, 12, 3)).astype(np.uint8)
        cv2.imwrite(str(path), picture)
    name_default(tiny_model(Path("exported/tiny.onnx"), heatmap=MAP))
    assert run(*ONE_BY_ONE, "--heatmaps", "whole").exit_code == 0
    rows = Path("out.csv").read_text()
    with monkeypatch.context() as patch:
        failing_at(patch, 8, KeyboardInterrupt())
        assert run(*ONE_BY_ONE, *first).exit_code == 130
    for path in sorted(Path("maps").glob("more*"))[:1]:
        path.unlink()
    with monkeypatch.context() as patch:
        calls = failing_at(patch, 99, None)
        assert run(*ONE_BY_ONE, "--resume", "--heatmaps", "maps").exit_code == 0
    # Without their maps the first ones are classified again.
    assert len(calls) == (5 if first else 12)
    assert Path("out.csv").read_text() == rows
    assert drawn("maps") == drawn("whole")
    assert len(drawn("maps")) == 13

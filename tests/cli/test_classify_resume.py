import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from allkit import AllkitError
from allkit.cli.journal import Journal
from allkit.runtime.classifier import Prediction
from allkit.runtime.session import Model
from classified import CSV, add_broken, run, subprocess_classify
from models import flat, tiny_model


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


ONE_BY_ONE = ("images", "--format", "csv", "--output", "out.csv", "--batch-size", 1)


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
    # The first line that was cut short, as by a sudden end, is done again.
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
    tiny_model(Path("exported/tiny.onnx"), temperature=2.0)
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
        "error: cannot write .out.csv.journal: File too large; with that mended, the same command with --resume goes on"
    )
    assert Path("out.csv").read_text() == "old"
    result = run("images", "--format", "csv", "--output", "out.csv", "--resume")
    assert "image(s) were classified before" in result.stderr
    assert len(Path("out.csv").read_text().splitlines()) == 43


JOURNAL = Path(".out.csv.journal")
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these links nor these signals")


@pytest.fixture
def many(folder):
    """Twelve images whose rows all differ, and the CSV of a run that nothing stopped."""
    for i in range(10):
        cv2.imwrite(f"images/more{i}.png", flat(0, 0, 10 * i))
    assert run(*ONE_BY_ONE).exit_code == 0
    return Path("out.csv").read_text()


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


def test_a_whole_line_without_its_end_counts_and_the_next_one_has_its_own_line(many, monkeypatch):
    whole = stopped_after(monkeypatch, 5)
    JOURNAL.write_bytes(whole.removesuffix(b"\n"))
    assert stopped_after_resume(monkeypatch, 3) == whole.count(b"\n") + 3
    assert classified_again(monkeypatch) == 12 - 5 - 3
    assert Path("out.csv").read_text() == many


def stopped_after_resume(monkeypatch, count):
    with monkeypatch.context() as patch:
        failing_at(patch, count + 1, KeyboardInterrupt())
        assert run(*ONE_BY_ONE, "--resume").exit_code == 130
    return JOURNAL.read_bytes().count(b"\n")


@posix
@pytest.mark.parametrize("off", [-2, -1, 0, 1])
def test_a_disk_that_is_full_at_the_end_of_a_line_gives_no_image_the_row_of_another(many, monkeypatch, off):
    import resource

    whole = stopped_after(monkeypatch, 12)
    JOURNAL.unlink()
    ends = list(itertools.accumulate(map(len, whole.splitlines(keepends=True))))
    limit = ends[6] + off
    process = subprocess_classify(
        *map(str, ONE_BY_ONE),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    errors = process.communicate()[1].decode()
    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    assert JOURNAL.stat().st_size == limit
    # The seventh line is cut short where one byte more than its end is missing.
    assert classified_again(monkeypatch) == (6 if off < -1 else 5)
    assert Path("out.csv").read_text() == many


def test_no_flipped_bit_reaches_a_row(many, monkeypatch):
    whole = stopped_after(monkeypatch, 12)
    place = random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[place.randrange(len(whole))] ^= 1 << place.randrange(8)
        JOURNAL.write_bytes(damaged)
        # A line end that became something else costs two lines.
        assert 1 <= classified_again(monkeypatch) <= 2
        assert Path("out.csv").read_text() == many


def test_cut_swapped_doubled_and_spliced_lines_give_the_rows_of_an_undamaged_journal(many, monkeypatch):
    lines = stopped_after(monkeypatch, 12).splitlines(keepends=True)
    half = len(lines[0]) // 2
    for damaged, again in (
        (lines[::-1], 0),
        (lines * 2, 0),
        (lines[:4] + lines[8:], 4),
        ([lines[0][:half] + lines[1][half:], *lines[2:]], 2),
        ([lines[0][:half], *lines[1:]], 2),
        ([lines[0][:half] + b"\n", *lines[1:]], 1),
        ([b"\n", b"\0" * 4096, b"\n", *lines], 0),
        ([b"x" * 2**22], 12),
    ):
        JOURNAL.write_bytes(b"".join(damaged))
        assert classified_again(monkeypatch) == again
        assert Path("out.csv").read_text() == many


def test_a_journal_is_never_dropped_because_resume_was_forgotten(many, monkeypatch):
    whole = stopped_after(monkeypatch, 5)
    with pytest.raises(AllkitError, match=r"\.out\.csv\.journal .*go on from there with --resume, or delete it"):
        run(*ONE_BY_ONE)
    assert JOURNAL.read_bytes() == whole
    assert classified_again(monkeypatch) == 7
    # One in which nothing is yet, as after a sudden end, is no loss.
    JOURNAL.touch()
    assert run(*ONE_BY_ONE).exit_code == 0
    assert Path("out.csv").read_text() == many


@pytest.mark.usefixtures("folder")
def test_a_journal_of_other_weights_under_the_same_contract_is_not_gone_on_with(monkeypatch):
    stopped_after(monkeypatch, 1)
    tiny_model(Path("exported/tiny.onnx"), bias=(1, 0, 0))
    with pytest.raises(AllkitError, match="was made with another model"):
        run(*ONE_BY_ONE, "--resume")


def test_rows_belong_to_files_not_to_names_that_other_folders_have_too(many, tmp_path, monkeypatch):
    stopped_after(monkeypatch, 12)
    shutil.copytree("images", "elsewhere/images")
    for path in Path("elsewhere/images").iterdir():
        cv2.imwrite(str(path), flat(0, 96, 0))
    shutil.copytree("exported", "elsewhere/exported")
    for path in Path("images").iterdir():
        facts = path.stat()
        # The same name, size and time, and another picture.
        data = (Path("elsewhere") / path).read_bytes().ljust(facts.st_size, b"\0")
        (Path("elsewhere") / path).write_bytes(data[: facts.st_size])
        os.utime(Path("elsewhere") / path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    monkeypatch.chdir("elsewhere")
    result = run("images", "--format", "csv", "--output", tmp_path / "out.csv", "--resume")
    assert "were classified before" not in result.stderr
    assert (tmp_path / "out.csv").read_text() != many


def test_an_image_that_is_named_twice_has_each_of_its_rows(many, tmp_path, monkeypatch):
    arguments = ("images", tmp_path / "images", *ONE_BY_ONE[1:])
    with monkeypatch.context() as patch:
        failing_at(patch, 7, KeyboardInterrupt())
        assert run(*arguments).exit_code == 130
    assert run(*arguments, "--resume").exit_code == 0
    rows = Path("out.csv").read_text().splitlines()
    assert "\n".join(rows[:13]) + "\n" == many
    assert [row.removeprefix(f"{tmp_path}/") for row in rows[13:]] == rows[1:13]


def prediction(number):
    return Prediction("red", number, {"red": number}, ("red",), False, number, False)


def test_a_second_process_is_refused_while_the_first_writes(folder, tmp_path):
    out = Path("out.csv")
    with Journal(out, "model", resume=False):
        for spelling in ("out.csv", "./out.csv", tmp_path / "out.csv"):
            process = subprocess_classify("images", "--output", spelling, "--resume")
            errors = process.communicate()[1].decode()
            assert process.returncode == 2
            assert "another process is writing" in errors.splitlines()[-1]
    assert not JOURNAL.exists()
    assert run(*ONE_BY_ONE).exit_code == 0


@pytest.mark.usefixtures("folder")
def test_a_journal_that_was_made_anew_is_not_removed_with_the_old_one():
    out, paths = Path("out.csv"), [Path("images/smear2.png")]
    first = Journal(out, "model", resume=False)
    first.left(paths)
    first.add(paths[0], prediction(0.5))
    JOURNAL.unlink()
    with Journal(out, "model", resume=False) as second:
        assert second.left(paths) == paths
        first.finished = True
        with first:
            pass
        # What the first one removes at its end is not the second one's.
        assert JOURNAL.exists()


@pytest.mark.usefixtures("folder")
def test_what_is_changed_under_a_running_process_is_an_error():
    out, paths = Path("out.csv"), [Path("images/smear2.png"), Path("images/smear10.png")]
    with Journal(out, "model", resume=False) as journal:
        for number, path in enumerate(journal.left(paths)):
            journal.add(path, prediction(number / 2))
        assert [row.confidence for _, row in journal.rows(paths)] == [0, 0.5]
        first, second = JOURNAL.read_bytes().splitlines(keepends=True)
        JOURNAL.write_bytes(first[:-9] + b"9" + first[-8:] + second)
        with pytest.raises(AllkitError, match="has been changed meanwhile"):
            list(journal.rows(paths))


@posix
@pytest.mark.usefixtures("folder")
def test_an_output_is_neither_an_image_nor_the_model_nor_a_link():
    os.link("images/smear2.png", "linked.csv")
    os.symlink("exported/tiny.onnx", "link.csv")
    before = {path: path.read_bytes() for path in (Path("images/smear2.png"), Path("exported/tiny.onnx"))}
    for output, words in (
        ("images/smear2.png", "which is to be read"),
        ("images/../images/smear2.png", "which is to be read"),
        ("linked.csv", "which is to be read"),
        ("exported/tiny.onnx", "which is to be read"),
        ("link.csv", "it is a link"),
    ):
        for resume in ([], ["--resume"]):
            with pytest.raises(AllkitError, match=words):
                run("images", "--format", "csv", "--output", output, *resume)
    assert before == {path: path.read_bytes() for path in before}
    assert not [name for name in os.listdir() if name.endswith(".journal")]


@posix
@pytest.mark.usefixtures("folder")
def test_a_link_in_the_place_of_the_journal_is_not_followed():
    Path("victim").write_text("old")
    for link in (os.symlink, os.link):
        link("victim", JOURNAL)
        for resume in ([], ["--resume"]):
            with pytest.raises(AllkitError, match="is a link or no regular file"):
                run(*ONE_BY_ONE, *resume)
        JOURNAL.unlink()
    assert Path("victim").read_text() == "old"


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whenever_it_is_ended_a_resumed_run_gives_the_rows_of_one_that_was_not(many, number):
    Path("out.csv").write_text("old")
    moment = random.Random(0)
    ended = 0
    for _ in range(5):
        process = subprocess_classify(*map(str, ONE_BY_ONE), "--resume")
        time.sleep(moment.uniform(0.1, 0.6))
        process.send_signal(number)
        errors = process.communicate(timeout=60)[1].decode()
        # Before the command has begun, Python itself speaks of the interrupt.
        assert "Traceback" not in errors or errors.endswith("KeyboardInterrupt\n")
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
    assert "the same command with --resume writes it" in result.stderr
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
    tiny_model(Path("exported/tiny.onnx"), heatmap=MAP)
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


def interrupted_after(real, count):
    def rows(self, paths):
        yield from itertools.islice(real(self, paths), count)
        raise KeyboardInterrupt

    return rows

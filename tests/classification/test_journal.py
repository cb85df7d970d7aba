"""What `allkit classify --output` notes of its work, damaged, locked and planted."""

import itertools
import os
import random
import shutil
import sys
from pathlib import Path

import cv2
import pytest

from allkit import AllkitError
from allkit.classification.journal import Journal
from allkit.runtime.classifier import Prediction
from allkit.runtime.default_model import name_default
from classified import JOURNAL, ONE_BY_ONE, classified_again, failing_at, run, stopped_after, subprocess_classify
from models import flat, tiny_model

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these links nor these signals")


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
    # The seventh line is truncated where one byte more than its end is missing.
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
    with pytest.raises(AllkitError, match=r"\.out\.csv\.journal .*continue with --resume, or delete it"):
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
    name_default(tiny_model(Path("exported/tiny.onnx"), bias=(1, 0, 0)))
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
        with pytest.raises(AllkitError, match="has been changed in the meantime"):
            list(journal.rows(paths))


@posix
@pytest.mark.usefixtures("folder")
def test_an_output_is_neither_an_image_nor_the_model_nor_a_link():
    os.link("images/smear2.png", "linked.csv")
    os.symlink("exported/tiny.onnx", "link.csv")
    before = {path: path.read_bytes() for path in (Path("images/smear2.png"), Path("exported/tiny.onnx"))}
    for output, words in (
        ("images/smear2.png", "which is an input"),
        ("images/../images/smear2.png", "which is an input"),
        ("linked.csv", "which is an input"),
        ("exported/tiny.onnx", "which is an input"),
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


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["other.onnx", "other.JPG", "new.png", "run.keras"])
def test_an_output_is_not_named_like_a_model_or_an_image_that_is_not_read_either(name):
    if name.startswith("other"):
        Path(name).write_bytes(b"old")
    with pytest.raises(AllkitError, match=r"are models or images; give another name"):
        run("images", "--format", "csv", "--output", name)
    assert Path(name).exists() == name.startswith("other")

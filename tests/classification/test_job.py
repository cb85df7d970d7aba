"""Rows of a folder written from Python, without the command line."""

from pathlib import Path

import pytest

from allkit import Classifier
from allkit.classification.job import Classification, journal_of
from allkit.classification.rows import row_file, write_csv
from classified import CSV, add_broken, failing_at

OUTPUT = Path("out.csv")
PATHS = [Path("images/smear2.png"), Path("images/smear10.png")]


@pytest.fixture
def classifier(folder, monkeypatch):
    # One worker, which takes the images in their order.
    monkeypatch.setattr("allkit.runtime.plan.cores", lambda: 1)
    return Classifier(device="cpu", batch_size=1)


def job(classifier, paths=PATHS, resume=False, interrupted=False):
    def write(rows):
        if interrupted:
            raise KeyboardInterrupt
        with row_file(OUTPUT) as stream:
            write_csv(rows, classifier.contract.classes, stream)

    with journal_of(OUTPUT, classifier, resume) as journal:
        work = Classification(classifier, paths, journal)
        work.run(write)
    return work


def test_a_file_of_rows_and_their_tally_need_no_command_line(classifier):
    add_broken()
    done = job(classifier, [*PATHS, Path("images/broken.jpg")])
    assert OUTPUT.read_text().startswith(CSV)
    assert done.tally.labels == {"red": 1, "green": 1, None: 1}
    assert (done.tally.uncertain, done.tally.unfamiliar, done.stopped) == (1, 0, False)


def test_rows_without_a_journal_are_written_as_they_come(classifier):
    seen, work = [], Classification(classifier, PATHS)

    def write(rows):
        for path, prediction in rows:
            seen.append((path, prediction.label, len(work.classified)))

    work.run(write, watch=lambda rows, count: rows if count == 2 else pytest.fail("another count"))
    assert seen == [(PATHS[0], "red", 1), (PATHS[1], "green", 2)]


def test_an_interrupt_writes_the_rows_so_far_and_another_one_keeps_them(classifier, monkeypatch):
    with monkeypatch.context() as patch:
        failing_at(patch, 2, KeyboardInterrupt())
        stopped = job(classifier)
    assert (stopped.stopped, stopped.classified) == (True, PATHS[:1])
    assert OUTPUT.read_text() == "".join(CSV.splitlines(keepends=True)[:2])
    with pytest.raises(KeyboardInterrupt):
        job(classifier, resume=True, interrupted=True)
    assert job(classifier, resume=True).todo == []
    assert OUTPUT.read_text() == CSV

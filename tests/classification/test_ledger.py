import csv
from pathlib import Path

import pytest

from allkit import AllkitError, Prediction
from allkit.classification.ledger import Ledger
from allkit.classification.rows import write_csv

CLASSES = ("red", "green")
SEEN = Prediction("red", 0.75, {"red": 0.75, "green": 0.25}, ("red",), uncertain=False, distance=1.0, unfamiliar=True)
FAILED = Prediction(error='cannot be read: "x"\nas it is')

# Names that a program may trip over: a line end, quotes, a separator, bytes that are no UTF-8.
PATHS = [Path("/in/a.jpg"), Path('/in/line\nend "quoted", b.png'), Path("/in/\udcff\udcfe.tif"), Path("/in/=1.jpg")]


def written(path, predictions):
    with Ledger(path, CLASSES) as ledger:
        for name, prediction in zip(PATHS, predictions, strict=False):
            ledger.add(name, prediction)


def test_rows_are_those_of_classify(tmp_path):
    predictions = [SEEN, FAILED, SEEN, FAILED]
    written(tmp_path / "labels.csv", predictions)
    with (tmp_path / "other.csv").open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        write_csv(zip(PATHS, predictions, strict=True), CLASSES, stream)
    assert (tmp_path / "labels.csv").read_bytes() == (tmp_path / "other.csv").read_bytes()


def test_a_ledger_goes_on_wherever_it_was_cut_off(tmp_path):
    path = tmp_path / "labels.csv"
    written(path, [SEEN, FAILED, SEEN, FAILED])
    whole = path.read_bytes()
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        rows = list(csv.reader(stream))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with Ledger(path, CLASSES) as ledger:
            done = [name for name in map(str, PATHS) if name in ledger.done]
            # No row that was complete is lost, and none that was not is kept.
            assert done == list(map(str, PATHS))[: len(done)]
            for name, prediction in list(zip(PATHS, [SEEN, FAILED, SEEN, FAILED], strict=True))[len(done) :]:
                ledger.add(name, prediction)
        assert path.read_bytes() == whole
    assert len(rows) == 5


def test_a_row_is_on_disk_before_the_next_begins(tmp_path):
    path = tmp_path / "labels.csv"
    with Ledger(path, CLASSES) as ledger:
        for count, name in enumerate(PATHS, 1):
            ledger.add(name, SEEN)
            assert path.read_bytes().count(b"0.75") == 2 * count


def test_other_columns_are_refused_and_left_as_they_are(tmp_path):
    path = tmp_path / "labels.csv"
    written(path, [SEEN])
    before = path.read_bytes()
    for classes, optional in ((("blue", "green"), ()), (CLASSES, ("warning",))):
        with pytest.raises(AllkitError, match="other columns"):
            Ledger(path, classes, optional)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(AllkitError, match="other columns"):
        Ledger(path, CLASSES)
    assert path.read_text() == "a,b\n1,2\n"
    path.write_bytes(before)
    with Ledger(path, CLASSES) as ledger:
        assert ledger.done == {"/in/a.jpg"}


def test_a_text_that_is_no_table_is_not_cut_off(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("what I saw today")
    with pytest.raises(AllkitError, match="other columns"):
        Ledger(path, CLASSES)
    assert path.read_text() == "what I saw today"


def test_one_process_at_a_time(tmp_path):
    with Ledger(tmp_path / "labels.csv", CLASSES), pytest.raises(AllkitError, match="another process"):
        Ledger(tmp_path / "labels.csv", CLASSES)


def test_links_are_refused(tmp_path):
    (tmp_path / "labels.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(AllkitError, match="link"):
        Ledger(tmp_path / "labels.csv", CLASSES)

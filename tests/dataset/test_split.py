import json

import pytest

from allkit.dataset.split import Split
from allkit.errors import AllkitError

SPLIT = Split(
    protocol="grouped",
    parameters={"seed": 1},
    parts={"train": ("A/1.jpg", "A/2.jpg"), "validation": ("A/3.jpg",), "test": ("A/4.jpg",)},
    hashes={f"A/{i}.jpg": f"hash {i}" for i in range(1, 6)},
    groups={f"A/{i}.jpg": i for i in range(1, 6)},
)


def test_a_split_survives_its_file(tmp_path):
    SPLIT.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == SPLIT


def test_the_summary_counts_the_parts_and_what_was_left_out():
    summary = SPLIT.summary()
    assert summary["n"] == {"train": 2, "validation": 1, "test": 1, "left_out": 1}
    assert (summary["protocol"], summary["parameters"], summary["hash"]) == ("grouped", {"seed": 1}, SPLIT.hash)


def test_a_split_file_that_was_edited_is_refused(tmp_path):
    path = tmp_path / "split.json"
    SPLIT.save(path)
    record = json.loads(path.read_text())
    record["parts"]["test"].append(record["parts"]["train"].pop())
    path.write_text(json.dumps(record))
    with pytest.raises(AllkitError, match="changed after it was written"):
        Split.load(path)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"schema_version": 1, "hash": "x"}'])
def test_what_is_no_split_file_is_refused(tmp_path, text):
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(AllkitError, match="not a split file"):
        Split.load(path)
    with pytest.raises(AllkitError, match="cannot read the split file"):
        Split.load(tmp_path / "nowhere.json")


def test_a_tree_that_changed_is_refused():
    SPLIT.check(SPLIT.hashes)
    with pytest.raises(AllkitError, match=r"A/1\.jpg has changed"):
        SPLIT.check({**SPLIT.hashes, "A/1.jpg": "other"})
    with pytest.raises(AllkitError, match=r"names A/5\.jpg"):
        SPLIT.check({path: digest for path, digest in SPLIT.hashes.items() if path != "A/5.jpg"})
    with pytest.raises(AllkitError, match=r"A/new\.jpg is not in the split"):
        SPLIT.check({**SPLIT.hashes, "A/new.jpg": "new"})

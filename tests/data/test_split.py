import json
from dataclasses import replace

import pytest

from allkit.data.split import Split
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


@pytest.mark.parametrize(
    "change",
    [
        {"parts": {**SPLIT.parts, "test": ("../../secret.png",)}},
        {"parts": {**SPLIT.parts, "test": ("/etc/passwd",)}},
        {"parts": {**SPLIT.parts, "test": SPLIT.parts["train"]}},
        {"parts": {**SPLIT.parts, "test": ("A/4.jpg", "A/4.jpg")}},
        {"parts": {**SPLIT.parts, "test": ("A/9.jpg",)}},
        {"groups": {"A/1.jpg": 0}},
        {"hashes": {}},
    ],
    ids=str,
)
def test_a_split_that_allkit_does_not_make_is_refused_though_its_hash_is_right(tmp_path, change):
    split = replace(SPLIT, **change)
    for path in (path for paths in split.parts.values() for path in paths if "hashes" not in change):
        if ".." in path or path.startswith("/"):
            split = replace(split, hashes={**split.hashes, path: "0"}, groups={**split.groups, path: 0})
    split.save(tmp_path / "split.json")
    with pytest.raises(AllkitError, match="is not a split of allkit"):
        Split.load(tmp_path / "split.json")


@pytest.mark.parametrize(
    "change",
    [
        {"parts": {"train": ["A/1.jpg"], "test": ["A/4.jpg"]}},
        {"parts": {**SPLIT.parts, "validation": []}},
        {"parts": {**SPLIT.parts, "more": ["A/5.jpg"]}},
        {"parts": [1]},
        {"hashes": {"A/1.jpg": 1}},
        {"groups": {"A/1.jpg": -1}},
        {"groups": {"A/1.jpg": "one"}},
        {"protocol": None},
        {"parameters": {"seed": [1]}},
        {"schema_version": "1"},
        {"hash": 1},
    ],
    ids=str,
)
def test_fields_of_another_kind_are_refused(tmp_path, change):
    path = tmp_path / "split.json"
    SPLIT.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(AllkitError, match="not a split file"):
        Split.load(path)

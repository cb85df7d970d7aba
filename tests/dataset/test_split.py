import json
from collections import Counter

import numpy as np
import pytest

from allkit.dataset.index import Dataset, hash_files, scan
from allkit.dataset.split import PARTS, Split, random_split
from allkit.errors import AllkitError


def dataset_of(tmp_path, counts: dict[str, int]) -> Dataset:
    paths = tuple(f"{name}/{i}.jpg" for name, count in counts.items() for i in range(count))
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    return Dataset(tmp_path, tuple(counts), paths, labels)


def distinct(dataset: Dataset) -> list[str]:
    return [f"hash of {path}" for path in dataset.paths]


def test_every_image_stands_in_one_part_and_each_class_is_split_80_10_10(tmp_path):
    dataset = dataset_of(tmp_path, {"A": 100, "B": 50})
    split = random_split(dataset, distinct(dataset), seed=1)
    everything = [path for part in PARTS for path in split.parts[part]]
    assert sorted(everything) == sorted(dataset.paths)
    counts = {part: Counter(path[0] for path in split.parts[part]) for part in PARTS}
    assert counts == {"train": {"A": 80, "B": 40}, "validation": {"A": 10, "B": 5}, "test": {"A": 10, "B": 5}}


def test_the_seed_decides_the_split(tmp_path):
    dataset = dataset_of(tmp_path, {"A": 30, "B": 30})
    one, again, other = (random_split(dataset, distinct(dataset), seed) for seed in (1, 1, 2))
    assert one == again
    assert one.hash == again.hash
    assert one.parts != other.parts


@pytest.mark.parametrize("seed", range(20))
def test_identical_files_never_stand_on_two_sides(tmp_path, seed):
    dataset = dataset_of(tmp_path, {"A": 20, "B": 20})
    # Every image has a twin, and one pair crosses the classes.
    hashes = [str(i // 2) for i in range(40)]
    hashes[20] = hashes[0]
    split = random_split(dataset, hashes, seed)
    sides = {}
    for part in PARTS:
        for path in split.parts[part]:
            assert sides.setdefault(split.hashes[path], part) == part


def test_a_class_of_three_images_gives_one_to_each_part_and_two_are_too_few(tmp_path):
    dataset = dataset_of(tmp_path, {"A": 3, "B": 40})
    split = random_split(dataset, distinct(dataset), seed=0)
    assert all(sum(path.startswith("A") for path in split.parts[part]) == 1 for part in PARTS)
    dataset = dataset_of(tmp_path, {"A": 2, "B": 40})
    with pytest.raises(AllkitError, match="class A has 2 different images"):
        random_split(dataset, distinct(dataset), seed=0)


def test_a_split_survives_its_file(tmp_path):
    dataset = dataset_of(tmp_path, {"A": 10, "B": 10})
    split = random_split(dataset, distinct(dataset), seed=3)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split


def test_a_split_file_that_was_edited_is_refused(tmp_path):
    dataset = dataset_of(tmp_path, {"A": 10, "B": 10})
    path = tmp_path / "split.json"
    random_split(dataset, distinct(dataset), seed=3).save(path)
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


def test_a_tree_that_changed_is_refused(tmp_path):
    dataset = dataset_of(tmp_path, {"A": 10, "B": 10})
    split = random_split(dataset, distinct(dataset), seed=3)
    split.check(split.hashes)
    with pytest.raises(AllkitError, match=r"A/0\.jpg has changed"):
        split.check({**split.hashes, "A/0.jpg": "other"})
    with pytest.raises(AllkitError, match=r"names A/0\.jpg"):
        split.check({path: digest for path, digest in split.hashes.items() if path != "A/0.jpg"})
    with pytest.raises(AllkitError, match=r"A/new\.jpg is not in the split"):
        split.check({**split.hashes, "A/new.jpg": "new"})


def test_the_identical_pairs_of_the_real_set_stay_together(shared_data):
    dataset = scan(shared_data / "all")
    hashes = list(hash_files(dataset).values())
    assert len(set(hashes)) < len(hashes)
    split = random_split(dataset, hashes, seed=0)
    sides = [{split.hashes[path] for path in split.parts[part]} for part in PARTS]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from allkit.data.index import Dataset, Images, read, scan
from allkit.data.protocol import grouped_split, listed_split, random_split, remarks
from allkit.data.split import PARTS, Split
from allkit.errors import AllkitError


def images_of(counts: dict[str, int], hashes: list[str] | None = None, twins: dict[int, int] | None = None) -> Images:
    """Images of which no two are alike, but for the rows that `twins` maps to the row they nearly equal."""
    paths = tuple(f"{name}/{name}-{i:03d}.jpg" for name, count in counts.items() for i in range(1, count + 1))
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    bits = np.random.default_rng(0).random((len(paths), 256)) < 0.5
    for row, twin in (twins or {}).items():
        bits[row] = bits[twin]
        bits[row, 0] ^= True
    dataset = Dataset(Path(), tuple(counts), paths, labels)
    hashes = hashes or [f"hash of {path}" for path in paths]
    unused = np.zeros((len(paths), 1), np.float32)
    return Images(dataset, tuple(hashes), bits, unused, unused, unused)


def number(path: str) -> int:
    return int(path[-7:-4])


def sides(split) -> dict[str, str]:
    return {path: part for part in PARTS for path in split.parts[part]}


def test_every_image_stands_in_one_part_and_each_class_is_split_80_10_10():
    images = images_of({"A": 100, "B": 50})
    split = random_split(images, seed=1)
    assert sorted(path for part in PARTS for path in split.parts[part]) == sorted(images.dataset.paths)
    counts = {part: Counter(path[0] for path in split.parts[part]) for part in PARTS}
    assert counts == {"train": {"A": 80, "B": 40}, "validation": {"A": 10, "B": 5}, "test": {"A": 10, "B": 5}}
    assert split.label == "random (paper protocol)"


@pytest.mark.parametrize("make", [random_split, grouped_split])
def test_the_seed_decides_the_split(make):
    images = images_of({"A": 400, "B": 400})
    one, again, other = (make(images, seed) for seed in (1, 1, 3))
    assert one == again
    assert one.hash == again.hash
    assert one.parts != other.parts


@pytest.mark.parametrize("seed", range(20))
def test_identical_files_never_stand_on_two_sides(seed):
    # Every image has a twin, and one pair crosses the classes.
    hashes = [str(i // 2) for i in range(40)]
    hashes[20] = hashes[0]
    images = images_of({"A": 20, "B": 20}, hashes)
    split = random_split(images, seed)
    for digest in hashes:
        assert len({side for path, side in sides(split).items() if split.hashes[path] == digest}) == 1


def test_a_class_of_three_images_gives_one_to_each_part_and_two_are_too_few():
    split = random_split(images_of({"A": 3, "B": 40}), seed=0)
    assert all(sum(path.startswith("A") for path in split.parts[part]) == 1 for part in PARTS)
    with pytest.raises(AllkitError, match=r"class A falls into 2 group\(s\), too few"):
        random_split(images_of({"A": 2, "B": 40}), seed=0)


@pytest.mark.parametrize("make", [random_split, grouped_split])
def test_the_folds_test_every_image_exactly_once_and_number_groups_alike(make):
    images = images_of({"A": 500, "B": 300})
    folds = [make(images, 5, fold, 4) for fold in range(4)]
    tested = Counter(path for split in folds for path in split.parts["test"])
    assert tested == Counter(images.dataset.paths)
    assert all(split.groups == folds[0].groups for split in folds)
    assert all(not set(split.parts["test"]) & set(split.parts["train"]) for split in folds)


@pytest.mark.parametrize("seed", range(10))
def test_grouped_test_images_have_no_neighbour_within_a_block_in_train_or_validation(seed):
    split = grouped_split(images_of({"A": 400, "B": 300}), seed, block_length=20)
    side = sides(split)
    for path in split.parts["test"]:
        for other, part in side.items():
            if part != "test" and other[0] == path[0]:
                assert abs(number(other) - number(path)) > 20
    left_out = set(split.hashes) - set(side)
    assert left_out
    assert len(left_out) <= 4 * 20


@pytest.mark.parametrize("seed", range(10))
def test_a_block_stays_on_one_side(seed):
    split = grouped_split(images_of({"A": 400, "B": 300}), seed, block_length=20)
    side = sides(split)
    blocks = {}
    for path, part in side.items():
        blocks.setdefault((path[0], (number(path) - 1) // 20), set()).add(part)
    assert all(len(parts) == 1 for parts in blocks.values())
    assert all(len({split.groups[p] for p in side if (p[0], (number(p) - 1) // 20) == key}) == 1 for key in blocks)


@pytest.mark.parametrize("seed", range(10))
def test_near_duplicates_join_their_blocks(seed):
    # Rows 5 and 205 lie ten blocks apart and are nearly the same picture.
    split = grouped_split(images_of({"A": 400, "B": 300}, twins={205: 5}), seed, block_length=20)
    first, second = "A/A-006.jpg", "A/A-206.jpg"
    assert split.groups[first] == split.groups[second]
    assert sides(split).get(first) == sides(split).get(second)


def test_gaps_in_the_numbering_do_not_bring_distant_images_together():
    images = images_of({"A": 400, "B": 300})
    keep = [i for i, path in enumerate(images.dataset.paths) if not (path[0] == "A" and 30 <= number(path) < 200)]
    gone = images.dataset.without({p: "gone" for i, p in enumerate(images.dataset.paths) if i not in set(keep)})
    thinned = Images(
        gone, tuple(images.hashes[i] for i in keep), images.difference_hashes[keep], *[np.zeros((len(keep), 1))] * 3
    )
    split = grouped_split(thinned, 0, block_length=20)
    assert split.groups["A/A-029.jpg"] != split.groups["A/A-200.jpg"]


def renamed(images: Images, name) -> Images:
    """The same images, each called by name(class, number)."""
    paths = tuple(f"{path[0]}/{name(path[0], number(path))}.jpg" for path in images.dataset.paths)
    dataset = Dataset(Path(), images.dataset.classes, paths, images.dataset.labels)
    return replace(images, dataset=dataset)


def a_time(label: str, place: int) -> str:
    seconds = 9 * 3600 + 40 * place
    return f"IMG_20240131_{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


def test_names_that_end_in_a_time_of_day_are_grouped_by_their_order_and_that_is_said(tmp_path):
    # 240 images a class, 40 seconds apart: by number each would be a group of its own.
    images = renamed(images_of({"A": 240, "B": 240}), a_time)
    assert images.dataset.paths[0] == "A/IMG_20240131_090040.jpg"
    split = grouped_split(images, 0, block_length=10)
    # By construction the order of the times is that of the images: 24 blocks of ten a class.
    by_number = grouped_split(images_of({"A": 240, "B": 240}), 0, block_length=10)
    assert list(split.groups.values()) == list(by_number.groups.values())
    assert split.group_count == 48
    assert split.parameters["by_order_of_name"] == ["A", "B"]
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    assert "by_order_of_name" not in by_number.parameters
    assert remarks(images, split) == (
        "grouped split: 48 groups of 480 images",
        "class A: file numbers are far apart, so that a block is 10 files in order of their names",
        "class B: file numbers are far apart, so that a block is 10 files in order of their names",
    )


def test_groups_that_keep_nothing_together_are_warned_of(tmp_path):
    images = images_of({"A": 40, "B": 40})
    listed = tmp_path / "patients.csv"
    listed.write_text("\n".join(["path,patient", *(f"{path},{path}" for path in images.dataset.paths)]))
    told = remarks(images, listed_split(images, 0, listed))
    assert told[0] == "grouped split: 80 groups of 80 images"
    assert told[1].startswith("warning: nearly as many groups as images")
    # Of the random protocol nothing else is expected.
    assert remarks(images, random_split(images, 0)) == ("random (paper protocol) split: 80 groups of 80 images",)


def test_classes_of_very_different_sizes_are_warned_of():
    *_, told = remarks(uneven := images_of({"A": 40, "B": 120}), random_split(uneven, 0))
    assert told.startswith("warning: 120 images of class B, 40 of A")
    assert "--class-weights" in told
    even = images_of({"A": 40, "B": 119})
    assert len(remarks(even, random_split(even, 0))) == 1


@pytest.mark.parametrize("seed", range(10))
def test_a_group_over_two_classes_carries_its_embargo_into_both(seed):
    # A-050 and B-100 are one picture; both blocks of ten go where it goes, and both have neighbours.
    hashes = [f"hash {i}" for i in range(400)]
    hashes[200 + 99] = hashes[49]
    images = images_of({"A": 200, "B": 200}, hashes)
    tests = 0
    for fold in range(10):
        split = grouped_split(images, seed, fold, block_length=10)
        side = sides(split)
        if "B/B-091.jpg" not in split.parts["test"]:
            continue
        tests += 1
        assert "A/A-050.jpg" in split.parts["test"]
        for path in split.parts["test"]:
            for other, part in side.items():
                if part != "test" and other[0] == path[0]:
                    assert abs(number(other) - number(path)) > 10
        assert side.get("B/B-086.jpg", "test") == "test"
    assert tests == 1


def test_too_few_blocks_name_the_class_and_the_ways_out():
    with pytest.raises(AllkitError, match=r"class B .* shorter --block-length, or --split random"):
        grouped_split(images_of({"A": 400, "B": 60}), 0)


def test_listed_patients_stay_on_one_side_and_every_image_needs_one(tmp_path):
    images = images_of({"A": 60, "B": 60})
    path = tmp_path / "patients.csv"
    rows = [f"{name},{name[0]}{number(name) % 10}" for name in images.dataset.paths]
    path.write_text("\n".join(["path,patient", *rows]))
    split = listed_split(images, 0, path)
    side = sides(split)
    assert len(side) == 120
    for patient in range(10):
        for name in "AB":
            assert len({part for p, part in side.items() if p[0] == name and number(p) % 10 == patient}) == 1
    path.write_text("\n".join(["path,patient", *rows[1:]]))
    with pytest.raises(AllkitError, match=r"no patient for A/A-001\.jpg"):
        listed_split(images, 0, path)
    path.write_text("file,who\n")
    with pytest.raises(AllkitError, match="no column path"):
        listed_split(images, 0, path)


def test_the_identical_pairs_of_the_real_set_stay_together(shared_data):
    images = read(scan(shared_data / "all"))
    assert len(set(images.hashes)) < len(images.hashes)
    assert random_split(images, 0).hash == "a33f76275ab2f621001a0ef88d018094be0548debf5f1007bf68f1798b97e14b"
    assert grouped_split(images, 0, 0, 5).hash == "0ca8b7031ee71531b173c875470b02b83969e93bd20531f35910a36752d500d3"
    for split in (random_split(images, 0), grouped_split(images, 0)):
        parts = [{split.hashes[path] for path in split.parts[part]} for part in PARTS]
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]


def test_numbers_that_repeat_within_a_class_give_way_to_the_order_of_the_files():
    images = images_of({"A": 400, "B": 400})
    paths = tuple(
        f"{p[0]}/slide{(number(p) - 1) // 40}/{(number(p) - 1) % 40 + 1:03d}.jpg" for p in images.dataset.paths
    )
    dataset = Dataset(Path(), ("A", "B"), paths, images.dataset.labels)
    nested = replace(images, dataset=dataset)
    split = grouped_split(nested, 0, block_length=40)
    slides = {}
    for path, group in split.groups.items():
        slides.setdefault(group, set()).add(path.rsplit("/", 1)[0])
    assert all(len(names) == 1 for names in slides.values())


def test_a_groups_file_may_come_from_a_spreadsheet_but_must_name_every_patient(tmp_path):
    images = images_of({"A": 60, "B": 60})
    path = tmp_path / "patients.csv"
    rows = [f"{name},{name[0]}{number(name) % 10}" for name in images.dataset.paths]
    path.write_text("\ufeff" + "\n".join(["path,patient", *rows]), encoding="utf-8")
    assert listed_split(images, 0, path).parameters["groups"].startswith("file ")
    path.write_text("\n".join(["path,patient", f"{images.dataset.paths[0]},", *rows[1:]]))
    with pytest.raises(AllkitError, match=r"no patient for A/A-001\.jpg"):
        listed_split(images, 0, path)

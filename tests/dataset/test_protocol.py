from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from allkit.dataset.index import Dataset, Images, read, scan
from allkit.dataset.protocol import grouped_split, listed_split, random_split, read_groups, split_again
from allkit.dataset.split import PARTS
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
    return Images(dataset, tuple(hashes), bits, np.zeros((len(paths), 1), np.float32), np.empty((0, 8, 8, 3), np.uint8))


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
        gone, tuple(images.hashes[i] for i in keep), images.difference_hashes[keep], *[np.zeros((len(keep), 1))] * 2
    )
    split = grouped_split(thinned, 0, block_length=20)
    assert split.groups["A/A-029.jpg"] != split.groups["A/A-200.jpg"]


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
    with pytest.raises(AllkitError, match="columns path,patient"):
        listed_split(images, 0, path)


def test_the_identical_pairs_of_the_real_set_stay_together(shared_data):
    images = read(scan(shared_data / "all"))
    assert len(set(images.hashes)) < len(images.hashes)
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
    nested = Images(dataset, images.hashes, images.difference_hashes, images.colour_histograms, images.pixels)
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


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "0"},
        {"seed": -1},
        {"seed": 10**30},
        {"folds": 10**9},
        {"folds": 1},
        {"fold": -1},
        {"fold": 11},
        {"block_length": 0},
        {"block_length": 0.5},
        {"block_length": None},
    ],
    ids=str,
)
def test_a_split_from_a_contract_is_made_again_and_one_that_no_training_had_is_refused(change):
    images = images_of({"A": 400, "B": 400})
    summary = grouped_split(images, seed=0).summary()
    assert split_again(images, summary).hash == summary["hash"]
    with pytest.raises(AllkitError):
        split_again(images, {**summary, "parameters": {**summary["parameters"], **change}})
    for parameters in (None, [], "seed"):
        with pytest.raises(AllkitError, match="cannot be made again"):
            split_again(images, {**summary, "parameters": parameters})


def test_a_list_that_names_two_patients_for_an_image_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("path,patient\nA/1.png,1\nA/1.png,1\n")
    assert read_groups(tmp_path / "p.csv") == {"A/1.png": "1"}
    (tmp_path / "p.csv").write_text("path,patient\nA/1.png,1\nA/1.png,2\n")
    with pytest.raises(AllkitError, match=r"two patients for A/1\.png"):
        read_groups(tmp_path / "p.csv")

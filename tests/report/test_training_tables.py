"""What a report says of trainings, and how their folders are read."""

import shutil
from dataclasses import replace

import pytest

from allkit.errors import AllkitError
from allkit.report.sources import Sources, Training, gather
from allkit.report.tables import tables
from allkit.runs.run import Run
from records import accuracy


def training(label, size_px, wrong, width=1.0, **fields):
    """A run whose test images 0 ... 199 are labelled rightly but for `wrong`."""
    found = accuracy(wrong)
    settings = {"architecture": "vgg16", "pixels": {"size_px": size_px}, "width": width}
    settings["recipe"] = {"name": "scratch", "epochs": 3}
    whole = {
        "metrics": found["metrics"],
        "baseline": found["baseline"],
        "settings": settings,
        "split": {"protocol": "random (paper protocol)"},
        "training_seconds": 1234.4,
        "device": "cpu:0",
        **fields,
    }
    history = [{"epoch": epoch, "accuracy": 0.5, "validation_accuracy": 0.25 * epoch} for epoch in (1, 2, 3)]
    return Training(label, whole, history, {str(i): i not in wrong for i in range(200)})


def table(sources, title):
    return next(found for found in tables(sources) if found.title == title)


def test_every_size_of_the_paper_is_there_and_what_was_not_run_is_said():
    found = table(Sources([training("a", 200, range(4)), training("b", 150, range(2), width=0.25)], []), "Image size")
    by_size = [(row[0], row[1], row[2], row[3], row[6]) for row in found.rows]
    assert by_size == [
        ("300", "96.59", "12,024", "vgg16 x1", "-"),
        ("250", "96.31", "10,928", "vgg16 x1", "-"),
        ("200", "95.88", "9,237", "a: vgg16 x1, scratch, 3 epochs", "98.00 % [96.00, 99.00]"),
        # A slim network is no full-width one.
        ("150", "95.11", "8,024", "b: vgg16 x0.25, scratch, 3 epochs", "99.00 % [97.00, 100.00]"),
        ("150", "95.11", "8,024", "vgg16 x1", "-"),
    ]
    assert found.rows[0][4] == "not run"
    assert found.rows[2][7:] == ("99.00%", "1,234", "cpu:0")


def test_the_paper_stands_beside_its_own_classes_alone():
    one = training("a", 300, range(10))
    other = {**one.record["metrics"], "per_class": {name: {"recall": None} for name in ("cat", "dog")}}
    sources = Sources([replace(one, record={**one.record, "metrics": other})], [])
    assert table(sources, "Image size").rows == [
        (
            "300",
            "a: vgg16 x1, scratch, 3 epochs",
            "random (paper protocol)",
            "200",
            "95.00 % [93.00, 96.00]",
            "99.00%",
            "1,234",
            "cpu:0",
        )
    ]
    assert table(sources, "Methods").rows == [("a (vgg16 x1, 300 px)", "200", *["95.00"] * 5)]
    assert not any("of the paper" in found.note for found in tables(sources))


def test_trainings_on_the_same_images_are_compared_in_pairs():
    runs = [training("a", 300, range(10)), training("b", 250, ()), training("c", 200, [150])]
    other = Training("d", runs[0].record, (), {"elsewhere": True})
    found = table(Sources([*runs, other], []), "Differences")
    assert [(row[0][0], row[1][0], row[3]) for row in found.rows] == [
        ("a", "b", "0 : 10"),
        ("a", "c", "1 : 10"),
        ("b", "c", "1 : 0"),
    ]
    # 2 / 2 ** 10 times three, 2 (1 + 11) / 2 ** 11 times two, and 1.
    assert [row[4] for row in found.rows] == [f"{p:.3f}" for p in (6 / 1024, 48 / 2048, 1)]
    assert [row[5] for row in found.rows] == ["yes", "yes", "no"]


def test_images_of_a_group_speak_once_whichever_of_the_two_keeps_them_together():
    one, other = training("a", 300, range(8)), training("b", 250, ())
    alone = table(Sources([one, other], []), "Differences")
    assert alone.rows[0][4:] == (f"{2 / 2**8:.3f}", "yes")
    assert "could have shown" not in alone.note
    # The eight stand in two groups of four, as one of the splits knows.
    grouped = replace(other, groups={str(i): i // 4 for i in range(200)})
    for pair in ([one, grouped], [grouped, one]):
        found = table(Sources(pair, []), "Differences")
        assert found.rows[0][4:] == ("0.500", "no")
        # 2^(1 - 6) is below 0.05: six images of 200, each in a group of its own.
        assert "the smallest difference that 200 images in 50 groups could have shown is 3.00%" in found.note


def test_methods_stand_beside_those_of_the_paper():
    found = table(Sources([training("a", 300, range(10))], []), "Methods")
    assert found.rows[-2][:3] == ("Najjar et al. 2025 (modified VGG16, 300 px)", "-", "96.59")
    assert found.rows[-1] == ("a (vgg16 x1, 300 px)", "200", *["95.00"] * 5)


def test_a_run_folder_is_read(finished_run):
    (found,) = gather([finished_run.folder]).trainings
    assert found.name == "tiny (vgg16 x0.0625, 32 px)"
    assert len(found.history) == 1
    confusion = found.record["metrics"]["confusion"]
    assert sum(found.right.values()) == sum(confusion[i][i] for i in range(len(confusion)))


def test_the_folds_of_a_cross_validation_are_read_as_one(finished_run, tmp_path):
    run = finished_run.folder
    for fold in ("fold-1", "fold-2"):
        shutil.copytree(run, tmp_path / "cv" / fold)
    # The second fold is tested on images of its own, all of which it labels rightly.
    header = (run / "predictions.csv").read_text().splitlines()[0]
    label = header.split(",")[-1]
    paths = tuple(f"{label}/new-{i}.png" for i in range(3))
    split = finished_run.split
    hashes, groups = split.hashes | dict.fromkeys(paths, "0"), split.groups | dict.fromkeys(paths, 0)
    other = replace(split, parts={**split.parts, "test": paths}, hashes=hashes, groups=groups)
    other.save(tmp_path / "cv" / "fold-2" / "split.json")
    rows = [f"{path},{label},0.1,0.9" for path in paths]
    (tmp_path / "cv" / "fold-2" / "predictions.csv").write_text("\n".join([header, *rows]) + "\n")
    shutil.copy(run / "metrics.json", tmp_path / "cv" / "metrics.json")
    alone, together = gather([run, tmp_path / "cv"]).trainings
    assert together.right == dict(alone.right) | dict.fromkeys(paths, True)
    assert not together.history


def test_an_unfinished_run_and_an_empty_folder_are_named(finished_run, tmp_path):
    Run.create(tmp_path / "new", finished_run.settings, finished_run.split)
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        with pytest.raises(AllkitError, match=f"{name} cannot be reported on: give a finished run"):
            gather([tmp_path / name])

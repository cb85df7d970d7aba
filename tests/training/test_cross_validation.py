"""Folds pooled, without a training: run folders with predictions that are written here."""

import json
from dataclasses import replace

import numpy as np
import pytest

from allkit.data.index import Dataset, Images
from allkit.data.protocol import grouped_split
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.metrics import proportion
from allkit.metrics.classification import score
from allkit.report.sources import gather
from allkit.report.tables import tables
from allkit.runs.recipe import SCRATCH
from allkit.runs.run import Run
from allkit.runs.settings import Settings
from allkit.training.cross_validation import pool

FOLDS = 4


@pytest.fixture
def images(tmp_path):
    """80 images of each of two classes, no two alike."""
    paths = tuple(f"{name}/{i:03d}.jpg" for name in "AB" for i in range(1, 81))
    bits = np.random.default_rng(0).random((160, 256)) < 0.5
    dataset = Dataset(tmp_path, ("A", "B"), paths, np.repeat([0, 1], 80))
    hashes = tuple(f"hash of {path}" for path in paths)
    return Images(dataset, hashes, bits, *[np.zeros((160, 1), np.float32)] * 3)


def cross_validation(folder, images, wrong, baseline_wrong=()):
    """The runs of four grouped folds that get the images of `wrong` wrong."""
    settings = Settings("vgg16", PixelPath(32), 1.0, 0, SCRATCH, images.dataset.classes, "data")
    labels = dict(zip(images.dataset.paths, images.dataset.labels, strict=True))
    runs = []
    for fold in range(FOLDS):
        run = Run.create(folder / f"fold-{fold + 1}", settings, grouped_split(images, 0, fold, FOLDS, block_length=5))
        tested = run.split.parts["test"]
        truth = np.array([labels[path] for path in tested])
        told = np.where([path in wrong for path in tested], 1 - truth, truth)
        run.write_predictions(tested, truth, np.eye(2)[told])
        run.write_metrics(
            {
                "schema_version": 1,
                "part": "test",
                "metrics": score(truth, np.eye(2)[told], settings.classes, samples=2).to_dict(),
                "baseline": {"method": "none", "value": 1.0, "low": 0.9, "high": 1.0},
                "predictions": {
                    "path": list(tested),
                    "group": [run.split.groups[path] for path in tested],
                    "truth": truth.tolist(),
                    "predicted": told.tolist(),
                    "baseline_right": [path not in baseline_wrong for path in tested],
                },
                "split": run.split.summary(),
                "training_seconds": 1.0,
                "device": "cpu:0",
                "settings": settings.public(),
                "data_fingerprint": run.split.fingerprint,
                "parameters": 1,
                "versions": {},
            }
        )
        runs.append(run)
    return runs


def test_the_record_holds_what_it_takes_to_respect_groups(tmp_path, images):
    wrong = [path for path in images.dataset.paths if path < "A/006"]
    metrics, baseline = pool(cross_validation(tmp_path, images, wrong, ["B/001.jpg"]), tmp_path)
    record = json.loads((tmp_path / "metrics.json").read_text())
    found = record["predictions"]
    assert sorted(found["path"]) == sorted(images.dataset.paths)
    # Blocks of five: the first of A, which is all wrong, is one of 32 groups.
    right = np.array(found["truth"]) == np.array(found["predicted"])
    assert {path for path, hit in zip(found["path"], right, strict=True) if not hit} == set(wrong)
    assert len({group for group, hit in zip(found["group"], right, strict=True) if not hit}) == 1
    assert (metrics.n, metrics.groups) == (160, 32)
    assert metrics.accuracy == proportion(right, found["group"])
    assert baseline == proportion(found["baseline_right"], found["group"])
    assert found["baseline_right"].count(False) == 1


def test_two_records_alone_are_compared_by_group(tmp_path, images):
    wrong = [path for path in images.dataset.paths if path < "A/031"]
    for name, missed in (("one", ()), ("two", wrong)):
        pool(cross_validation(tmp_path / name, images, missed), tmp_path / name)
        (tmp_path / f"{name}.json").write_bytes((tmp_path / name / "metrics.json").read_bytes())
    for paths in ([tmp_path / "one.json", tmp_path / "two.json"], [tmp_path / "one", tmp_path / "two"]):
        differences = next(table for table in tables(gather(paths)) if table.title == "Differences")
        # Thirty images in six blocks: 2 of 2^6 choices of signs.
        assert differences.rows[0][2:] == ("160", "30 : 0", "0.031", "yes")


def test_a_fold_that_does_not_say_where_the_baseline_was_wrong_is_refused(tmp_path, images):
    runs = cross_validation(tmp_path, images, ())
    record = runs[2].metrics()
    del record["predictions"]
    runs[2].write_metrics(record)
    with pytest.raises(AllkitError, match=r"fold-3.*train that fold again"):
        pool(runs, tmp_path)


def test_where_the_images_lie_does_not_tell_folds_apart_but_their_content_does(tmp_path, images):
    runs = cross_validation(tmp_path, images, ())
    elsewhere = replace(runs[-1], settings=replace(runs[-1].settings, data="/another/mount"))
    assert pool([*runs[:-1], elsewhere], tmp_path)[0].n == 160
    hashes = {**runs[-1].split.hashes, "A/007.jpg": "another"}
    other = replace(runs[-1], split=replace(runs[-1].split, hashes=hashes))
    with pytest.raises(AllkitError, match=r"fold-4 .*fold-1 \(A/007\.jpg has other content"):
        pool([*runs[:-1], other], tmp_path)


def test_folds_of_other_settings_are_refused(tmp_path, images):
    runs = cross_validation(tmp_path, images, ())
    with pytest.raises(AllkitError, match=r"other settings .*\(seed 1, not 0\)"):
        pool([*runs[:-1], replace(runs[-1], settings=replace(runs[-1].settings, seed=1))], tmp_path)

import hashlib
import json

import pytest

import allkit
from allkit import RECIPES, AllkitError, TrainingCallback, TrainOptions

RECIPE = RECIPES["scratch"].override(epochs=1, batch_size=8, dropout=0.0)


@pytest.fixture(scope="module")
def options(smears, tmp_path_factory):
    out = tmp_path_factory.mktemp("job") / "run"
    return TrainOptions(smears, RECIPE, size_px=32, width=0.0625, split="random", out=out)


class Events(TrainingCallback):
    def __init__(self):
        self.names, self.notes, self.read, self.steps = [], [], [], []

    def update(self, what, done):
        if what == "reading images":
            self.read.append(done)

    def note(self, text):
        self.notes.append(text)

    def on_step(self, epoch, step, steps, loss, accuracy):
        self.steps.append((epoch, step, steps))

    def __getattribute__(self, name):
        if name.startswith("on_") and name != "on_step":
            self.names.append(name)
        return super().__getattribute__(name)


@pytest.fixture(scope="module")
def trained(options):
    events = Events()
    return allkit.train(options, callback=events), events


def test_a_training_returns_what_its_record_holds(trained, options):
    result, _ = trained
    record = json.loads((options.out / "metrics.json").read_text())
    told = result.to_dict()
    assert told["metrics"] == record["metrics"]
    assert told["baseline"] == {end: record["baseline"][end] for end in ("value", "low", "high")}
    assert (told["name"], told["split"]) == ("vgg16x0.0625-32", "random (paper protocol) split")


def test_a_training_reports_every_image_and_step(trained):
    _, events = trained
    assert events.read == [i / 48 for i in range(1, 49)]
    assert [note.partition(":")[0] for note in events.notes] == ["random (paper protocol) split"]
    # 80 % of 48 images less what rounding leaves, in batches of eight.
    steps = events.steps[0][2]
    assert events.steps == [(1, i, steps) for i in range(1, steps + 1)]
    assert list(dict.fromkeys(events.names)) == ["on_begin", "on_epoch", "on_end"]


def test_a_finished_run_is_returned_and_not_trained_again(trained, options):
    result, _ = trained
    events = Events()
    again = allkit.train(options, resume=True, callback=events)
    assert (events.names, events.notes) == ([], [f"{options.out} is finished already"])
    assert again.metrics.accuracy == result.metrics.accuracy
    assert again.metrics.confusion == result.metrics.confusion
    with pytest.raises(AllkitError, match="started with seed 0, not 1"):
        allkit.train(TrainOptions(**{**vars(options), "seed": 1}), resume=True)


def test_a_cross_validation_needs_a_folder(smears):
    with pytest.raises(AllkitError, match="needs a folder"):
        allkit.cross_validate(TrainOptions(smears, RECIPE, size_px=32, width=0.0625))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"recipe": "papers"}, "no recipe 'papers': choose paper or scratch"),
        ({"size_px": 16}, "give 32 to 1024"),
        ({"architecture": "vgg61"}, "no architecture 'vgg61': choose vgg16 or"),
        ({"architecture": "patchvgg", "size_px": 75}, "patchvgg reads patches of 2 px, which do not fill 75 px"),
        ({"width": 0}, "a width of 0"),
        ({"split": "random", "groups_file": "patients.csv"}, "for the grouped split"),
    ],
)
def test_options_out_of_range_are_refused_when_they_are_made(wrong, reason):
    with pytest.raises(AllkitError, match=reason):
        TrainOptions("ALL/", **wrong)


def test_weights_of_another_content_than_stated_are_refused(options, tmp_path):
    (tmp_path / "vgg16.weights.h5").write_bytes(b"allkit")
    digest = hashlib.sha256(b"allkit").hexdigest()
    recipe = RECIPE.override(weights=str(tmp_path / "vgg16.weights.h5"), weights_sha256="0" * 64)
    with pytest.raises(AllkitError, match=f"has SHA-256 {digest}, not 0000"):
        allkit.train(TrainOptions(**{**vars(options), "recipe": recipe, "out": tmp_path / "run"}))


def test_weights_that_have_seen_what_a_fold_tests_are_refused(trained, options, tmp_path):
    recipe = RECIPE.override(weights=str(options.out))
    folds = TrainOptions(**{**vars(options), "recipe": recipe, "out": tmp_path / "folds"})
    with pytest.raises(AllkitError, match="would be tested on images that"):
        allkit.cross_validate(folds, folds=2)

"""Which model answers where none is named."""

import hashlib
import os
from pathlib import Path

import pytest

from allkit import AllkitError, Classifier
from allkit.runtime.default_model import keep_default, models_at_hand, name_default
from models import tiny_model

EXPORTED = Path("exported")


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    """A folder with an empty exported/; returns the model that comes with allkit."""
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr("allkit.runtime.default_model.SHIPPED_FOLDER", tmp_path / "shipped")
    (tmp_path / "work" / "exported").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    return tiny_model(tmp_path / "shipped" / "ships.onnx")


def test_in_a_fresh_folder_and_in_a_fresh_clone_the_model_that_comes_with_allkit_answers(shipped):
    classifier = Classifier(device="cpu")
    assert (classifier.model_path, classifier.chosen) == (shipped, "comes with allkit, there is no exported/default")
    # A clone holds a family of models, written in any order; a toy may lie beside them.
    for name in ("ships.onnx", "z.onnx", "a.onnx", "toy.onnx"):
        tiny_model(EXPORTED / name, width=2.0)
    assert Classifier(device="cpu").model_path == shipped


def test_the_model_that_was_made_the_default_answers_whatever_is_written_later():
    mine = tiny_model(EXPORTED / "mine.onnx", width=2.0)
    name_default(mine)
    # As sha256sum writes it, so that it can be checked and written by hand.
    digest = hashlib.sha256(mine.read_bytes()).hexdigest()
    assert (EXPORTED / "default").read_text() == f"{digest}  mine.onnx\n"
    for age, name in enumerate(("newer.onnx", "older.onnx", "mine.onnx")):
        path = EXPORTED / name if name == "mine.onnx" else tiny_model(EXPORTED / name)
        os.utime(path, ns=(0, 10**18 - age * 10**9))
    classifier = Classifier(device="cpu")
    assert (classifier.model_path, classifier.chosen) == (mine, "named by exported/default")
    assert classifier.contract.width == 2.0
    named = Classifier(EXPORTED / "older.onnx", device="cpu")
    assert (named.model_path.name, named.chosen) == ("older.onnx", None)


def test_a_file_that_took_the_name_of_the_default_does_not_answer_for_it():
    name_default(tiny_model(EXPORTED / "mine.onnx"))
    tiny_model(EXPORTED / "mine.onnx", width=2.0)
    with pytest.raises(AllkitError, match=r"exported/default names another file than mine\.onnx is now"):
        Classifier(device="cpu")
    # Named by itself it does.
    assert Classifier(EXPORTED / "mine.onnx", device="cpu").contract.width == 2.0


def test_an_export_of_several_runs_leaves_the_default_what_it_is():
    first, second = (tiny_model(EXPORTED / f"{name}.onnx") for name in ("first", "second"))
    keep_default(EXPORTED, [first, second])
    assert not (EXPORTED / "default").exists()
    name_default(first)
    tiny_model(first, width=2.0)
    keep_default(EXPORTED, [second])
    with pytest.raises(AllkitError, match="another file"):
        Classifier(device="cpu")
    keep_default(EXPORTED, [second, first])
    assert Classifier(device="cpu").contract.width == 2.0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "does not hold one line"),
        (b"mine.onnx\n", "does not hold one line"),
        (b"0" * 64 + b"  ../mine.onnx\n", "does not hold one line"),
        (b"0" * 64 + b"  a.onnx\n" + b"0" * 64 + b"  b.onnx\n", "does not hold one line"),
        (b"0" * 64 + b"  gone.onnx\n", r"names gone\.onnx, which is not there"),
        (b"x" * 2000, "larger than"),
    ],
)
def test_a_default_that_names_no_model_is_an_error_and_not_the_model_that_ships(content, reason):
    (EXPORTED / "default").write_bytes(content)
    with pytest.raises(AllkitError, match=reason):
        Classifier(device="cpu")


def test_a_damaged_default_is_an_error_that_names_it():
    (EXPORTED / "mine.onnx").write_bytes(b"no model")
    name_default(EXPORTED / "mine.onnx")
    with pytest.raises(AllkitError, match=r"mine\.onnx cannot be read as an ONNX model"):
        Classifier(device="cpu")


def test_heat_maps_are_not_taken_from_another_model_than_the_default():
    name_default(tiny_model(EXPORTED / "mine.onnx"))
    with pytest.raises(AllkitError, match=r"mine\.onnx has no heat map: export it with --heatmap"):
        Classifier(device="cpu", heatmaps=True)


def test_without_any_model_the_error_names_the_command_that_makes_one(shipped):
    shipped.unlink()
    for find in (Classifier, models_at_hand):
        with pytest.raises(AllkitError, match="allkit export`"):
            find()


def test_all_models_at_hand_are_those_exported_else_the_one_that_ships(shipped):
    assert models_at_hand() == [shipped]
    for name in ("b.onnx", "a.onnx", ".half-written.onnx"):
        tiny_model(EXPORTED / name)
    assert models_at_hand() == [EXPORTED / "a.onnx", EXPORTED / "b.onnx"]


def test_one_model_ships_with_allkit_and_it_is_that_of_the_family():
    root = Path(__file__).parents[2]
    (ships,) = (root / "toolkit" / "allkit" / "models").glob("*.onnx")
    assert ships.read_bytes() == (root / "exported" / ships.name).read_bytes()

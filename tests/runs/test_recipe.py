import json

import pytest

from allkit.errors import AllkitError
from allkit.runs.recipe import PAPER, RECIPES, SCRATCH, Recipe


def test_the_paper_recipe_holds_the_settings_of_the_paper():
    assert (PAPER.weights, PAPER.trainable_blocks, PAPER.batch_norm) == ("imagenet", 4, False)
    assert (PAPER.learning_rate, PAPER.batch_size, PAPER.epochs, PAPER.dropout) == (1e-5, 32, 25, 0.25)
    assert (PAPER.brightness, PAPER.reflection, PAPER.weight_decay) == (0.2, True, 0.0)


def test_a_recipe_survives_json():
    for recipe in RECIPES.values():
        assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_overriding_changes_only_what_is_given():
    changed = SCRATCH.override(epochs=3, reflection=False, plain_statistics=None)
    assert changed.epochs == 3
    # None is a value of its own: the statistics of the training.
    assert changed.plain_statistics is None
    assert changed.dropout == SCRATCH.dropout
    assert not changed.reflection
    assert SCRATCH.epochs == 30


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": -1},
        {"learning_rate": 0.0},
        {"dropout": 1.0},
        {"trainable_blocks": 6},
        {"brightness": -0.1},
        {"schedule": "step"},
        {"precision": "fp8"},
    ],
)
def test_a_field_out_of_range_is_named(change):
    with pytest.raises(AllkitError, match=next(iter(change))):
        SCRATCH.override(**change)


def test_a_recipe_of_another_version_is_refused():
    with pytest.raises(AllkitError, match="recipe"):
        Recipe.from_dict({"name": "scratch", "momentum": 0.9})

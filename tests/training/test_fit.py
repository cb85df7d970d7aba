import math
import time

import numpy as np
import pytest
from sklearn.utils import compute_class_weight

from allkit.training.backend import prepare
from allkit.training.callback import TrainingCallback

prepare()

import keras  # noqa: E402

from allkit.errors import AllkitError  # noqa: E402
from allkit.model.architecture import ARCHITECTURES, VGG16  # noqa: E402
from allkit.runs.recipe import SCRATCH  # noqa: E402
from allkit.training import architecture  # noqa: E402
from allkit.training import fit as fitting  # noqa: E402
from allkit.training.fit import (  # noqa: E402
    LabeledImages,
    class_weights,
    compiled,
    fit,
    learning_rate,
    predict,
)

RECIPE = SCRATCH.override(epochs=3, batch_size=8)
RNG = np.random.default_rng(0)
TRAIN = LabeledImages(RNG.integers(0, 256, (20, 32, 32, 3)).astype(np.uint8), RNG.integers(0, 3, 20))


class StopAfter(TrainingCallback):
    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_epoch(self, history):
        if len(history) == self.epochs:
            raise KeyboardInterrupt


def network(recipe=RECIPE) -> keras.Model:
    """A small network with all that makes a resume hard: batch statistics, dropout and an optimiser with state."""
    keras.utils.set_random_seed(5)
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.precision == "bf16" else "float32")
    image = x = keras.Input((32, 32, 3), dtype="uint8")
    for layer in (
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3, strides=4, use_bias=False, name="conv"),
        keras.layers.BatchNormalization(momentum=0.9),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
        keras.layers.Dense(8, activation="relu"),
        keras.layers.Dropout(recipe.dropout, name="dropout"),
        keras.layers.Dense(3, activation="softmax", dtype="float32", name="probabilities"),
    ):
        x = layer(x)
    return keras.Model(image, x)


def standing_still(**changes):
    """A network and a recipe that changes nothing of it or the images: a mean over batches is one over images."""
    recipe = RECIPE.override(epochs=1, dropout=0.0, learning_rate=1e-12, brightness=0.0, channel_gain=0.0)
    recipe = recipe.override(rotation_degrees=0.0, reflection=False, batch_size=5, **changes)
    model = network(recipe)
    next(layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)).trainable = False
    return compiled(model, recipe), recipe


def test_a_resumed_training_reaches_the_weights_of_an_uninterrupted_one(tmp_path):
    whole = compiled(network(), RECIPE)
    history = fit(whole, RECIPE, TRAIN, TRAIN, 1, tmp_path / "whole.npz", TrainingCallback())

    with pytest.raises(KeyboardInterrupt):
        fit(compiled(network(), RECIPE), RECIPE, TRAIN, TRAIN, 1, tmp_path / "cut.npz", StopAfter(1))
    resumed = compiled(network(), RECIPE)
    keras.utils.set_random_seed(99)
    history_resumed = fit(resumed, RECIPE, TRAIN, TRAIN, 1, tmp_path / "cut.npz", TrainingCallback())

    for expected, got in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert np.array_equal(expected, got)
    losses = [(row.epoch, row.loss, row.validation_loss) for row in history]
    assert losses == [(row.epoch, row.loss, row.validation_loss) for row in history_resumed]
    assert [row.epoch for row in history] == [1, 2, 3]


def test_training_lowers_the_loss_on_what_can_be_learnt(tmp_path):
    dark = np.zeros((16, 32, 32, 3), np.uint8)
    data = LabeledImages(np.concatenate([dark, dark + 200]), np.repeat([0, 1], 16))
    recipe = RECIPE.override(epochs=6, dropout=0.0, learning_rate=0.01)
    history = fit(compiled(network(recipe), recipe), recipe, data, data, 1, tmp_path / "c.npz", TrainingCallback())
    assert history[-1].loss < history[0].loss
    assert history[-1].validation_accuracy == 1.0


def test_mixed_bfloat16_keeps_float32_weights_and_probabilities(tmp_path):
    recipe = RECIPE.override(precision="bf16", epochs=1)
    model = network(recipe)
    fit(compiled(model, recipe), recipe, TRAIN, TRAIN, 1, tmp_path / "c.npz", TrainingCallback())
    assert model.get_layer("conv").compute_dtype == "bfloat16"
    assert all(weight.dtype == np.float32 for weight in model.get_weights())
    assert predict(model, TRAIN.pixels).dtype == np.float32
    keras.config.set_dtype_policy("float32")


def test_prediction_does_not_depend_on_how_images_fall_into_batches():
    model = network()
    pixels = RNG.integers(0, 256, (70, 32, 32, 3)).astype(np.uint8)
    together = predict(model, pixels)
    assert together.shape == (70, 3)
    assert np.allclose(predict(model, pixels[65:]), together[65:], atol=1e-6)


def test_weight_decay_is_for_kernels_alone():
    recipe = RECIPE.override(weight_decay=0.5)
    model = compiled(architecture.build(ARCHITECTURES[VGG16], 32, 3, 0.0625, recipe), recipe)
    decayed = [v.path for v in model.trainable_variables if model.optimizer._use_weight_decay(v)]
    assert decayed
    assert all(path.endswith("kernel") for path in decayed)
    assert len(decayed) == 15


def test_the_learning_rate_warms_up_linearly_then_falls_as_a_cosine():
    recipe = SCRATCH.override(learning_rate=0.1, warmup_epochs=2.0, epochs=10)
    rates = [learning_rate(recipe, step, steps_per_epoch=5) for step in range(50)]
    assert rates[:10] == pytest.approx([0.01 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(0.1)
    assert rates[30] == pytest.approx(0.05)
    assert rates[49] == pytest.approx(0.05 * (1 + math.cos(math.pi * 39 / 40)))


def test_a_constant_rate_without_warm_up_never_changes():
    recipe = SCRATCH.override(learning_rate=1e-5, warmup_epochs=0.0, schedule="constant")
    assert {learning_rate(recipe, step, 7) for step in range(100)} == {1e-5}


def test_loss_and_accuracy_of_an_epoch_are_means_over_its_steps(tmp_path):
    class Steps(TrainingCallback):
        def __init__(self):
            self.means = []

        def on_step(self, epoch, step, steps, loss, accuracy):
            self.means.append((loss, accuracy))

    model, recipe = standing_still()
    steps = Steps()
    (row,) = fit(model, recipe, TRAIN, TRAIN, 1, tmp_path / "c.npz", steps)
    assert len(steps.means) == 4
    assert steps.means[-1] == (row.loss, row.accuracy)
    assert row.loss == pytest.approx(row.validation_loss, abs=1e-5)
    assert row.accuracy == pytest.approx(row.validation_accuracy)


def test_a_training_that_diverges_says_so_at_once(tmp_path):
    recipe = RECIPE.override(epochs=5, learning_rate=1e30, warmup_epochs=0.0)
    with pytest.raises(AllkitError, match=r"diverged in epoch .: start again"):
        fit(compiled(network(recipe), recipe), recipe, TRAIN, TRAIN, 1, tmp_path / "c.npz", TrainingCallback())


def test_convolutions_may_learn_at_another_rate_than_the_head(tmp_path):
    recipe = RECIPE.override(epochs=1, blocks_rate=0.0, weight_decay=0.0)
    model = architecture.build(ARCHITECTURES[VGG16], 32, 3, 0.0625, recipe)
    names = [weight.path for weight in model.trainable_variables]
    before = [np.asarray(weight).copy() for weight in model.trainable_variables]
    fit(compiled(model, recipe), recipe, TRAIN, TRAIN, 1, tmp_path / "c.npz", TrainingCallback())
    still = {
        name for name, old, new in zip(names, before, model.trainable_variables, strict=True) if (old == new).all()
    }
    assert still == {name for name in names if name.startswith("block")}


def test_class_weights_are_those_of_scikit_learn_and_weigh_the_loss(tmp_path):
    weights = compute_class_weight("balanced", classes=np.arange(3), y=TRAIN.labels)
    assert class_weights(TRAIN.labels, 3) == pytest.approx(weights, rel=1e-6)
    assert len(set(weights)) > 1

    model, recipe = standing_still(class_weights=True)
    probabilities = predict(model, TRAIN.pixels).astype(np.float64)
    of_truth = -np.log(probabilities[np.arange(20), TRAIN.labels])
    (row,) = fit(model, recipe, TRAIN, TRAIN, 1, tmp_path / "c.npz", TrainingCallback())
    assert row.loss == pytest.approx((weights[TRAIN.labels] * of_truth).mean(), rel=1e-4)
    assert row.accuracy == pytest.approx((probabilities.argmax(1) == TRAIN.labels).mean())


def test_batches_come_in_order_whichever_thread_is_first(monkeypatch):
    def slow_first(pixels, rows, recipe, seed, epoch):
        time.sleep(0.02 if rows[0] == 0 else 0)
        return pixels[rows]

    monkeypatch.setattr(fitting, "augmented_batch", slow_first)
    monkeypatch.setattr(fitting, "cores", lambda: 4)
    data = LabeledImages(np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1), np.arange(40))
    steps = np.split(np.arange(40), 10)
    found = list(fitting._batches(steps, RECIPE, data, 0, 1))
    assert [rows.tolist() for rows, _ in found] == [rows.tolist() for rows in steps]
    assert [pixels.ravel().tolist() for _, pixels in found] == [rows.tolist() for rows in steps]

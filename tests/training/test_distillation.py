import numpy as np
import pytest

from allkit.training.backend import prepare

prepare()

import keras  # noqa: E402

from allkit.model.architecture import ARCHITECTURES  # noqa: E402
from allkit.runs.recipe import SCRATCH  # noqa: E402
from allkit.support.progress import Progress  # noqa: E402
from allkit.training import architecture  # noqa: E402
from allkit.training.augment import warped_batch  # noqa: E402
from allkit.training.distillation import Teacher, ask  # noqa: E402

RECIPE = SCRATCH.override(teacher=("run",), teacher_views=3, epochs=9, hue_degrees=40.0, zoom=0.2)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def teachers():
    """Two networks of different architecture that read images of different size."""
    keras.utils.set_random_seed(1)
    sizes = {"vgg16-block3": 32, "patchvgg": 48}
    return [
        Teacher(
            architecture.build(ARCHITECTURES[name], size, 3, 0.125, SCRATCH),
            RNG.integers(0, 256, (70, size, size, 3)).astype(np.uint8),
        )
        for name, size in sizes.items()
    ]


def test_teachers_see_each_warp_once_and_their_mean_is_the_lesson(teachers):
    lessons = ask(teachers, RECIPE, 5, Progress())
    assert lessons.probabilities.shape == (3, 70, 3)
    assert lessons.features.shape == (3, 70, 0)
    for view in range(3):
        seen = [warped_batch(one.pixels, np.arange(70), RECIPE, 5, view + 1) for one in teachers]
        told = [one.model.predict(pixels, verbose=0) for one, pixels in zip(teachers, seen, strict=True)]
        assert np.allclose(lessons.probabilities[view], np.mean(told, axis=0), atol=1e-5)
    assert not np.allclose(lessons.probabilities[0], lessons.probabilities[1], atol=1e-3)


def test_features_stand_side_by_side_each_with_mean_0_and_deviation_1(teachers):
    features = ask(teachers, RECIPE.override(teacher_features=1.0), 5, Progress()).features.astype(np.float64)
    # Three statistics of 32 channels each.
    assert features.shape == (3, 70, 2 * 96)
    assert np.allclose(features.mean((0, 1)), 0, atol=1e-2)
    # A channel that hardly changes is not blown up.
    assert np.isclose(features.std((0, 1)), 1, atol=1e-2).mean() > 0.8


def test_no_more_warps_are_shown_than_there_are_epochs(teachers):
    assert len(ask(teachers, RECIPE.override(epochs=2), 5, Progress()).probabilities) == 2

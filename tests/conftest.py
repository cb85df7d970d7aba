"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

# Before any test loads OpenCV, which takes its pixel limit when it is loaded.
import allkit.imaging.pixel_path  # noqa: F401


def pytest_collection_modifyitems(items):
    """What needs a trained network is slow; what is slow comes first, so that no process ends long after the others."""
    for item in items:
        if {"finished_run", "exported"} & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the repository; the test is skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real images (../shared/data) are not on this machine")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """What is remembered of this machine must not reach a test, nor what a test remembers the user."""
    # Beside the folder of the test, whose content tests count.
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path.with_name(f"{tmp_path.name}-cache")))


@pytest.fixture(scope="session", autouse=True)
def brief_timing():
    """What an export times in a test is thrown away: one turn is enough."""
    from allkit.exporting import measure

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_SECONDS", "_TURN_SECONDS", "_SETTLING_SECONDS"):
            patch.setattr(measure, name, 0.0)
        patch.setattr(measure, "_LEAST_TURNS", 1)
        yield


@pytest.fixture(scope="session")
def smears(tmp_path_factory) -> Path:
    """A class-per-folder tree of 24 small random images in each of two classes."""
    from trees import make_tree

    return make_tree(tmp_path_factory.mktemp("smears"), {"Dull": 24, "Vivid": 24})


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, smears):
    """A slim network after one epoch of recipe scratch on `smears`, in `runs/tiny`."""
    from allkit.training.backend import prepare
    from allkit.training.callback import TrainingCallback

    prepare()
    from allkit.data.index import read, scan
    from allkit.data.protocol import random_split
    from allkit.imaging.pixel_path import PixelPath
    from allkit.runs.recipe import SCRATCH
    from allkit.runs.run import Run
    from allkit.runs.settings import Settings
    from allkit.training.train import train

    recipe = SCRATCH.override(epochs=1, batch_size=16, warmup_epochs=0.0)
    images = read(scan(smears), PixelPath(32))
    settings = Settings("vgg16", PixelPath(32), 0.0625, 3, recipe, images.dataset.classes, str(smears))
    split = random_split(images, seed=3)
    run = Run.create(tmp_path_factory.mktemp("work") / "runs" / "tiny", settings, split)
    train(run, images, TrainingCallback())
    return run

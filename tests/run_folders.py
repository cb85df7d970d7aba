"""Run folders in which nothing was trained."""

from allkit.data.split import Split
from allkit.imaging.pixel_path import PixelPath
from allkit.runs.recipe import SCRATCH
from allkit.runs.run import Run
from allkit.runs.settings import Settings

SPLIT = Split(
    "random",
    {},
    {"train": ("a",), "validation": ("b",), "test": ("c",)},
    dict.fromkeys("abc", "0"),
    dict.fromkeys("abc", 0),
)


def settings(size_px: int = 64) -> Settings:
    return Settings("vgg16", PixelPath(size_px), 0.25, 0, SCRATCH, ("A", "B"), "data")


def make(folder, size_px: int = 64, finished: bool = True) -> Run:
    run = Run.create(folder, settings(size_px), SPLIT)
    if finished:
        run.write_metrics({"n": 1})
    return run

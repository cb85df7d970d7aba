"""The options of a training, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from allkit.data.index import Images
from allkit.data.protocol import BLOCK_LENGTH, PROTOCOLS, make_split
from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.model.architecture import ARCHITECTURES, VGG16, Published
from allkit.runs.recipe import ALL_BLOCKS, PAPER, RECIPES, Recipe
from allkit.runs.settings import SIZES, Settings, model_name


@dataclass(frozen=True)
class TrainOptions:
    """What `train` and `cross_validate` do.

    data: folder with one sub-folder of images per class. recipe: a `Recipe`, or the name of one of `RECIPES`.
    architecture: name of one of `ARCHITECTURES`. size_px: side of the network's input in pixels. jpeg_scale: 2 decodes
    JPEG files at half size. shrink: "area" or "linear", how larger images are made smaller. width: multiplier of every
    channel count. seed: of the split, the initial weights and the augmentation. split: "grouped", "random", or a
    split.json. groups_file: CSV with the columns path and patient, the groups of a grouped split; without it, groups
    are blocks of `block_length` neighbouring file numbers. out: the run folder, or that of the cross-validation; None
    for a new folder below runs/.
    tensorboard: folder below which each run writes its curves for TensorBoard.

    Raises AllkitError for a value out of range, and for options that exclude each other.
    """

    data: Path | str
    recipe: Recipe | str = PAPER
    architecture: str = VGG16
    size_px: int = 300
    jpeg_scale: int = 1
    shrink: str = "area"
    width: float = 1.0
    seed: int = 0
    split: str = "grouped"
    groups_file: Path | str | None = None
    block_length: int = BLOCK_LENGTH
    out: Path | str | None = None
    tensorboard: Path | str | None = None

    def __post_init__(self):
        if isinstance(self.recipe, str):
            if self.recipe not in RECIPES:
                raise AllkitError(
                    f"there is no recipe {self.recipe!r}: choose {' or '.join(RECIPES)}, or give a Recipe"
                )
            object.__setattr__(self, "recipe", RECIPES[self.recipe])
        for name in ("data", "groups_file", "out", "tensorboard"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(value))
        object.__setattr__(self, "split", str(self.split))
        if self.groups_file and self.split != "grouped":
            raise AllkitError("a file of groups is for the grouped split: leave out the groups, or the split")
        if not SIZES[0] <= self.size_px <= SIZES[1]:
            raise AllkitError(f"a size of {self.size_px} px is out of range: give {SIZES[0]} to {SIZES[1]}")
        if self.architecture not in ARCHITECTURES:
            raise AllkitError(f"there is no architecture {self.architecture!r}: choose {' or '.join(ARCHITECTURES)}")
        if self.size_px % ARCHITECTURES[self.architecture].patch_px:
            raise AllkitError(
                f"{self.architecture} reads patches of {ARCHITECTURES[self.architecture].patch_px} px, which do not "
                f"fill {self.size_px} px: give a size that is a multiple"
            )
        if not 0 < self.width <= 4:
            raise AllkitError(f"a width of {self.width} is out of range: give more than 0 and at most 4")
        self._check_network()

    def _check_network(self) -> None:
        network = ARCHITECTURES[self.architecture]
        if self.width != 1 and not network.has_width:
            raise AllkitError(f"{self.architecture} has one width: leave out the width")
        if isinstance(network, Published) and self.recipe.trainable_blocks not in (0, ALL_BLOCKS):
            raise AllkitError(
                f"the blocks of {self.architecture} cannot be frozen one by one: give recipe scratch, or 0 trainable "
                "blocks for the head alone"
            )
        if isinstance(network, Published) and not self.recipe.batch_norm:
            raise AllkitError(f"{self.architecture} has batch normalisation of its own: give recipe scratch")

    @property
    def name(self) -> str:
        """Architecture, width and size, as in `vgg16x0.25-150`."""
        return model_name(self.architecture, self.width, self.size_px)

    @property
    def pixels(self) -> PixelPath:
        return PixelPath(self.size_px, shrink=self.shrink, jpeg_scale=self.jpeg_scale)

    def settings(self, images: Images) -> Settings:
        """The settings of a run on these images."""
        home = str(images.dataset.root.resolve())
        return Settings(
            self.architecture, self.pixels, self.width, self.seed, self.recipe, images.dataset.classes, home
        )

    def make_split(self, images: Images, fold: int, folds: int) -> Split:
        """Fold `fold` of `folds` under the protocol, or the given split; AllkitError where that is of other images."""
        if self.split in PROTOCOLS:
            return make_split(images, self.split, self.seed, fold, folds, self.block_length, self.groups_file)
        given = Split.load(self.split)
        given.check(images.hashes_by_path)
        return given

    def named(self) -> Mapping[str, Any]:
        """Every option and every field of the recipe by its name; `recipe` is the name of the recipe."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        recipe = self.recipe.to_dict()
        return {**named, **recipe, "recipe": recipe["name"]}

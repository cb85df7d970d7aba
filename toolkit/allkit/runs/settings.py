"""What was asked of a training: `run.json` of a run folder, and the name of every file that is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath
from allkit.model.architecture import ARCHITECTURES, Architecture
from allkit.runs.recipe import Recipe
from allkit.support.names import check_class_names
from allkit.support.reading import as_kind
from allkit.support.text import unprintable

SCHEMA_VERSION = 1

# The least and the largest image, in pixels, that a network is trained for.
SIZES = (32, 1024)


@dataclass(frozen=True)
class Settings:
    """What was asked of a training. `data` is the folder the images were read from.

    Every name of a file that is made from a run begins with its architecture: it is one of `ARCHITECTURES`.
    """

    architecture: str
    pixels: PixelPath
    width: Annotated[float, Meta(gt=0, le=4)]
    seed: Annotated[int, Meta(ge=0, lt=2**32)]
    recipe: Recipe
    classes: tuple[str, ...]
    data: str

    @property
    def name(self) -> str:
        """Architecture, width and size, as in `vgg16x0.25-150`."""
        return model_name(self.architecture, self.width, self.pixels.size_px)

    @property
    def network(self) -> Architecture:
        return ARCHITECTURES[self.architecture]

    def to_dict(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def public(self) -> dict[str, Any]:
        """The settings for a record that travels: without folders of this machine."""
        record = self.to_dict()
        del record["data"]
        record["recipe"]["weights"] = Path(self.recipe.weights).name
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Settings:
        """Settings from a record; AllkitError for what is missing, of another type, or out of range."""
        recipe = record.get("recipe")
        if isinstance(recipe, dict):
            record = {**record, "recipe": Recipe.from_dict(recipe).to_dict()}
        settings = as_kind(record, cls, "the record of the settings", "train again")
        if settings.architecture not in ARCHITECTURES:
            raise AllkitError(f"there is no architecture {settings.architecture!r}: train again")
        check_class_names(settings.classes)
        if not SIZES[0] <= settings.pixels.size_px <= SIZES[1] or unprintable(settings.data):
            raise AllkitError(
                f"no training has images of {settings.pixels.size_px} px in {settings.data!r}: train again"
            )
        return settings


def model_name(architecture: str, width: float, size_px: int) -> str:
    return f"{architecture}x{width:g}-{size_px}"

"""How a network is trained, as a value.

A recipe is frozen, printable and serialisable, and travels in the run folder and in the contract
of every model made from it. The command line makes one option of each field, so a recipe has no
setting that cannot be seen and changed.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from allkit.errors import AllkitError
from allkit.support.reading import as_kind
from allkit.support.text import unprintable


def _option(default: Any, text: str, choices: tuple[str, ...] = ()) -> Any:
    return dataclasses.field(default=default, metadata={"help": text, "choices": choices})


# As many as VGG16 has.
ALL_BLOCKS = 5

_SHARES = (
    "brightness",
    "channel_gain",
    "channel_offset",
    "saturation",
    "colour_transfer",
    "grey",
    "erase",
    "plain_statistics",
)
_NOT_NEGATIVE = (
    *_SHARES,
    "blocks_rate",
    "weight_decay",
    "warmup_epochs",
    "rotation_degrees",
    "hue_degrees",
    "gamma",
    "zoom",
)

# Options of earlier versions.
_GONE = ("rotation_step", "teacher", "teacher_share", "teacher_features", "teacher_views")


@dataclass(frozen=True)
class Recipe:
    """The fields of a training; the defaults are recipe `scratch`.

    Rotation and reflection have no stated range in the paper; a smear has no upright, so all angles are used.
    """

    name: str = "scratch"
    weights: str = _option(
        "random",
        "initial weights: random, imagenet, a file (Keras without top; ONNX for VGG16), or the folder of a run",
    )
    weights_preprocessing: str | None = _option(
        None,
        "how the network of an ONNX weights file expects its images: caffe (BGR, mean subtracted) or torch (RGB, "
        "scaled to 0..1, normalised by mean and standard deviation)",
        ("caffe", "torch"),
    )
    weights_sha256: str | None = _option(None, "SHA-256 that the weights file must have; none records what it has")
    weights_license: str | None = _option(
        None, "licence and attribution of the weights file, recorded in the run, the model and its card"
    )
    batch_norm: bool = _option(True, "batch normalisation after each convolution; export folds it into the kernels")
    trainable_blocks: int = _option(
        ALL_BLOCKS, f"how many blocks of convolutions train, counted from the input; {ALL_BLOCKS} for the whole network"
    )
    normalisation: str = _option(
        "unit",
        "of pixels: unit divides by 255, imagenet subtracts the mean of Keras, torch that of torchvision, centre 127.5",
        ("unit", "imagenet", "torch", "centre", "none"),
    )
    class_weights: bool = _option(
        False, "weigh each image by n / (classes * images of its class), so that every class counts alike in the loss"
    )
    dropout: float = _option(0.25, "dropout rate between the two Dense layers")
    epochs: int = _option(30, "passes over the training part")
    batch_size: int = _option(32, "images per step")
    learning_rate: float = _option(1e-3, "peak learning rate")
    blocks_rate: float = _option(
        1.0, "learning rate of the convolutions as a multiple of that of the head; weight decay is not changed by it"
    )
    weight_decay: float = _option(1e-2, "decoupled weight decay of the kernels (AdamW); 0 is plain Adam")
    warmup_epochs: float = _option(1.0, "epochs of linear warm-up")
    schedule: str = _option("cosine", "learning rate after the warm-up", ("cosine", "constant"))
    brightness: float = _option(0.2, "brightness factor drawn from 1 +- this")
    rotation_degrees: float = _option(180.0, "rotation in degrees drawn from +- this, borders mirrored")
    reflection: bool = _option(True, "reflect half of the images left-right and half up-down")
    channel_gain: float = _option(0.1, "factor drawn for each colour channel from 1 +- this")
    channel_offset: float = _option(0.0, "offset drawn for each colour channel from +- this share of the full scale")
    gamma: float = _option(0.0, "gamma drawn from 1 / (1 + this) to 1 + this")
    hue_degrees: float = _option(0.0, "hue turned by an angle drawn from +- this")
    saturation: float = _option(0.0, "saturation factor drawn from 1 +- this")
    colour_transfer: float = _option(
        0.0, "share of the images that take the mean and spread of the colours of another training image, of any class"
    )
    grey: float = _option(0.0, "share of the images that are converted to grey, before gains and offsets")
    zoom: float = _option(0.0, "scale drawn from 1 / (1 + this) to 1 + this")
    erase: float = _option(0.0, "side of a square painted over in the mean colour, as a share of the side of the image")
    plain_statistics: float | None = _option(
        0.5,
        "share of unchanged images among those that batch normalisation takes its final statistics from; none keeps "
        "the running averages of the training",
    )
    precision: str = _option("fp32", "bf16 trains in mixed bfloat16", ("fp32", "bf16"))

    def __post_init__(self):
        for field in dataclasses.fields(self):
            choices = field.metadata.get("choices")
            if choices and getattr(self, field.name) not in (*choices, field.default):
                raise AllkitError(f"{field.name} is {getattr(self, field.name)!r}: choose {' or '.join(choices)}")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", self.name):
            raise AllkitError(f"{self.name!r} is not a name for a recipe: give letters, digits, - and _")
        texts = (self.weights, self.weights_sha256 or "", self.weights_license or "")
        if bad := next((text for text in texts if unprintable(text)), None):
            raise AllkitError(f"the recipe names {bad!r}, which holds control characters or is not UTF-8: rename it")
        numbers = [value for value in dataclasses.astuple(self) if isinstance(value, float)]
        if not all(math.isfinite(number) for number in numbers):
            raise AllkitError("a field of the recipe is not a finite number: give finite numbers")
        if bad := next((name for name in _SHARES if (getattr(self, name) or 0) > 1), None):
            raise AllkitError(f"{bad} is {getattr(self, bad)}: it must not be above 1")
        positive = ("epochs", "batch_size", "learning_rate")
        if bad := next((name for name in positive if getattr(self, name) <= 0), None):
            raise AllkitError(f"{bad} is {getattr(self, bad)}: it must be above 0")
        if bad := next((name for name in _NOT_NEGATIVE if (getattr(self, name) or 0) < 0), None):
            raise AllkitError(f"{bad} is {getattr(self, bad)}: it must not be below 0")
        if not 0 <= self.dropout < 1:
            raise AllkitError(f"dropout is {self.dropout}: it must be at least 0 and below 1")
        if not 0 <= self.trainable_blocks <= ALL_BLOCKS:
            raise AllkitError(f"trainable_blocks is {self.trainable_blocks}: it must be from 0 to {ALL_BLOCKS}")

    def override(self, **changes: Any) -> Recipe:
        """The recipe with the given fields changed; AllkitError for one that is out of range."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Recipe:
        """A recipe from a record; AllkitError for a field that is unknown, of another type, or out of range.

        Records of earlier versions hold options that are gone.
        """
        fix = "it is not one this version of allkit reads"
        record = {name: value for name, value in record.items() if name not in _GONE}
        if unknown := record.keys() - {field.name for field in dataclasses.fields(cls)}:
            raise AllkitError(f"the recipe has the unknown field {min(unknown)!r}: {fix}")
        # Before it was a field, statistics were not taken anew.
        return as_kind({"plain_statistics": None, **record}, cls, "the recipe", fix)


SCRATCH = Recipe()

# Najjar et al. 2025: block1_conv1 ... block4_conv3 train, block5 stays frozen; Adam is the reading
# of an optimiser that the paper does not name.
PAPER = Recipe(
    name="paper",
    weights="imagenet",
    batch_norm=False,
    trainable_blocks=4,
    normalisation="imagenet",
    epochs=25,
    learning_rate=1e-5,
    weight_decay=0.0,
    warmup_epochs=0.0,
    schedule="constant",
    channel_gain=0.0,
)

RECIPES = {recipe.name: recipe for recipe in (PAPER, SCRATCH)}

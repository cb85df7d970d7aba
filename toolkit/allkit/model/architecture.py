"""The networks that allkit trains, as values: what distinguishes them, without the training stack.

A network is a body, which makes a map of features of an image, and a head, which makes probabilities of the map:
"dense" flattens it into a hidden Dense layer, which ties evidence to a place; "pooled" takes mean, deviation and
maximum of each channel over all places; "average" takes the mean alone, as most networks since 2014 do.

To add a network, add an entry to `ARCHITECTURES`. All of them have: source, where it was published; head; last_map, the
layer that the head reads; stride_px, pixels of the image from one place of that map to the next; distance_layer, whose
channel means tell how far an image is from those of the training; patch_px, side of the square patches of pixels that
the body reads as one place; has_width, whether its channels can be scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Blocks:
    """A body of blocks of convolutions, each block at half the resolution of the one before.

    blocks: output channels and side of the kernel of each convolution, by block, at width 1; the first kernel counts
    patches. leak: slope of the activation below zero.
    """

    source: str
    blocks: tuple[tuple[tuple[int, int], ...], ...]
    head: str
    distance_layer: str
    patch_px: int = 1
    leak: float = 0.0

    has_width: ClassVar[bool] = True

    @property
    def conv_names(self) -> list[str]:
        """Layer names of the convolutions, input first, as in keras.applications."""
        return [name for block in range(1, len(self.blocks) + 1) for name in self.conv_names_of(block)]

    def conv_names_of(self, block: int) -> list[str]:
        """Layer names of the convolutions of a block, counted from 1."""
        return [f"block{block}_conv{i}" for i in range(1, len(self.blocks[block - 1]) + 1)]

    @property
    def pools(self) -> range:
        """The blocks that end in a pooling; heads that pool take the last map as it is."""
        return range(1, len(self.blocks) + (self.head == "dense"))

    def begins_like(self, other: Blocks) -> bool:
        """Whether its blocks are the first ones of another network."""
        return self.patch_px == other.patch_px and other.blocks[: len(self.blocks)] == self.blocks

    @property
    def last_map(self) -> str:
        """The layer whose output the head reads."""
        return f"block{len(self.blocks)}_pool" if self.head == "dense" else f"{self.conv_names[-1]}_relu"

    @property
    def stride_px(self) -> int:
        """Pixels of the image from one place of the last map to the next."""
        return self.patch_px * 2 ** len(self.pools)


@dataclass(frozen=True)
class Published:
    """A body of `keras.applications`, by its name there, under the head that it was published with.

    preprocessing: what its ImageNet weights expect, as `keras.applications.imagenet_utils.preprocess_input` names it.
    """

    source: str
    name: str
    preprocessing: str
    last_map: str
    distance_layer: str
    has_width: bool = False
    stride_px: int = 32
    patch_px: int = 1
    head: str = "average"


Architecture = Blocks | Published


def _same(*counts: tuple[int, int]) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Blocks of 3x3 convolutions of so many channels, so many times."""
    return tuple(((channels, 3),) * count for channels, count in counts)


def _narrowed(channels: int, pairs: int) -> tuple[tuple[int, int], ...]:
    """3x3 convolutions, after each but the last of which a 1x1 convolution halves the channels."""
    return ((channels, 3), (channels // 2, 1)) * pairs + ((channels, 3),)


# Configuration D.
_VGG16 = _same((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))

VGG16 = "vgg16"

_VGG = "Simonyan and Zisserman 2014, arXiv:1409.1556"
_RESNET = "He et al. 2016, arXiv:1512.03385"

ARCHITECTURES: dict[str, Architecture] = {
    VGG16: Blocks(f"Najjar et al. 2025, after {_VGG}", _VGG16, "dense", "block3_pool"),
    # Its first blocks alone: what ImageNet taught them suits cells better than what follows.
    "vgg16-block3": Blocks(_VGG, _VGG16[:3], "pooled", "block3_conv3_relu"),
    "vgg16-block4": Blocks(_VGG, _VGG16[:4], "pooled", "block3_pool"),
    # Blocks like VGG's on a patchify stem.
    "patchvgg": Blocks(
        f"blocks after {_VGG}, on patches as in ConvNeXt, Liu et al. 2022, arXiv:2201.03545",
        (((64, 2),), *_same((128, 2), (256, 3))),
        "pooled",
        "block2_pool",
        patch_px=2,
    ),
    "mobilenetv2": Published(
        "Sandler et al. 2018, arXiv:1801.04381",
        "MobileNetV2",
        "tf",
        "out_relu",
        "block_6_expand_relu",
        has_width=True,
    ),
    "resnet50": Published(_RESNET, "ResNet50", "caffe", "conv5_block3_out", "conv3_block4_out"),
    "resnet101": Published(_RESNET, "ResNet101", "caffe", "conv5_block3_out", "conv3_block4_out"),
    "densenet121": Published("Huang et al. 2017, arXiv:1608.06993", "DenseNet121", "torch", "relu", "pool3_relu"),
    # The mean of 1x1 convolutions is a Dense layer of the means.
    "darknet19": Blocks(
        "Redmon and Farhadi 2017, arXiv:1612.08242, table 6",
        (((32, 3),), ((64, 3),), _narrowed(128, 1), _narrowed(256, 1), _narrowed(512, 2), _narrowed(1024, 2)),
        "average",
        "block4_pool",
        leak=0.1,
    ),
}

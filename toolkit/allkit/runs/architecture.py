"""The networks that allkit trains, as values: what distinguishes them, without the training stack."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """Blocks of 3x3 convolutions, each block at half the resolution of the one before, and a head.

    blocks: output channels and number of convolutions of each block, at width 1. patch_px: side of the square patches
    of pixels that the first convolution reads as one place with 3 patch_px^2 channels; 1 for single pixels.
    first_kernel: side of that convolution's kernel, in patches. head: "dense" flattens the last map into a hidden Dense
    layer, which ties evidence to a place; "pooled" takes mean, deviation and maximum of each channel over all places.
    distance_layer: whose channel means tell how far an image is from those of the training.
    """

    blocks: tuple[tuple[int, int], ...]
    patch_px: int = 1
    first_kernel: int = 3
    head: str = "dense"
    distance_layer: str = "block3_pool"

    @property
    def conv_names(self) -> list[str]:
        """Layer names of the convolutions, input first, as in keras.applications."""
        return [name for block in range(1, len(self.blocks) + 1) for name in self.conv_names_of(block)]

    def conv_names_of(self, block: int) -> list[str]:
        """Layer names of the convolutions of a block, counted from 1."""
        return [f"block{block}_conv{i}" for i in range(1, self.blocks[block - 1][1] + 1)]

    @property
    def pools(self) -> range:
        """The blocks that end in a pooling; a pooled head takes the last map as it is."""
        return range(1, len(self.blocks) + (self.head == "dense"))

    def begins_like(self, other: Architecture) -> bool:
        """Whether its blocks are the first ones of another network."""
        stem, others = (self.patch_px, self.first_kernel), (other.patch_px, other.first_kernel)
        return stem == others and other.blocks[: len(self.blocks)] == self.blocks

    def kernel_side(self, conv_name: str) -> int:
        """Side of a convolution's kernel, in places of its input."""
        return self.first_kernel if conv_name == self.conv_names[0] else 3

    @property
    def last_map(self) -> str:
        """The layer whose output the head reads."""
        return f"block{len(self.blocks)}_pool" if self.head == "dense" else f"{self.conv_names[-1]}_relu"

    @property
    def stride_px(self) -> int:
        """Pixels of the image from one place of the last map to the next."""
        return self.patch_px * 2 ** len(self.pools)


# Simonyan and Zisserman 2014, configuration D.
_VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))

VGG16 = "vgg16"

ARCHITECTURES = {
    # The modified VGG16 of the paper.
    VGG16: Architecture(_VGG16),
    # Its first blocks alone: what ImageNet taught them suits cells better than what follows.
    "vgg16-block3": Architecture(_VGG16[:3], head="pooled", distance_layer="block3_conv3_relu"),
    "vgg16-block4": Architecture(_VGG16[:4], head="pooled"),
    # Blocks like VGG's on a patchify stem, as in TResNet and ConvNeXt.
    "patchvgg": Architecture(
        ((64, 1), (128, 2), (256, 3)), patch_px=2, first_kernel=2, head="pooled", distance_layer="block2_pool"
    ),
}

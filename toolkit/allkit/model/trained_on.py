"""How many of some images a model was trained on, for records. Loads no image library."""

from __future__ import annotations

from dataclasses import dataclass

from allkit.support.reading import Count


@dataclass(frozen=True)
class TrainedOn:
    """How many images a model was trained on, by kind.

    exact: files of its training or validation part. near: other files that look like one of them. none: all others.
    held_aside: the images of `near` that are in another part of its split. left_out: images not measured because this
    model, or one it is compared with, was trained on them.
    """

    exact: Count
    near: Count
    none: Count
    held_aside: Count
    left_out: Count

    @property
    def trained(self) -> int:
        """Number of images it was trained on."""
        return self.exact + self.near - self.held_aside

    @property
    def text(self) -> str:
        """As in `36 of 48 images were trained on (exact copies: 30, near copies: 6); left out: 36`."""
        words = f"{self.trained} of {self.exact + self.near + self.none} images were trained on"
        if self.trained:
            words += f" (exact copies: {self.exact}, near copies: {self.trained - self.exact})"
        if self.left_out:
            words += f"; left out: {self.left_out}"
        if self.held_aside:
            words += f"; held out by its split though similar to one trained on: {self.held_aside}"
        return words

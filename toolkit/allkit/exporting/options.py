"""The options of an export, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from allkit.errors import AllkitError

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class ExportOptions:
    """What `export` writes.

    runs: folders of finished runs. out: folder for the models and their cards. precisions: of `PRECISIONS`, one file
    each. heatmap: whether to add the output `heatmap`, where the evidence for the predicted class lies. seven_bit:
    whether int8 weights have seven bits, whose sums saturate in no kernel. max_drop: how much lower the validation
    accuracy of fp16 and int8 may be than that of fp32. coverage: share of images whose prediction set shall hold the
    truth. data: the images of the runs, if they have moved. keep_going: whether a run that cannot be exported is a
    failure in the result and no error. triton: folder of a model repository for the files that are safe with Triton.
    """

    runs: Sequence[Path | str]
    out: Path | str = Path("exported")
    precisions: Sequence[str] = ("fp32", "int8")
    heatmap: bool = False
    seven_bit: bool = False
    max_drop: float = 0.01
    coverage: float = 0.95
    data: Path | str | None = None
    keep_going: bool = False
    triton: Path | str | None = None

    def __post_init__(self):
        if wrong := [name for name in self.precisions if name not in PRECISIONS]:
            raise AllkitError(f"there is no precision {wrong[0]!r}: choose of {', '.join(PRECISIONS)}")
        if self.triton and set(self.precisions) == {"int8"} and not self.seven_bit:
            raise AllkitError(
                "Triton runs the fastest int8 kernels whether or not they are exact on the processor: "
                "export another precision, or seven-bit weights"
            )

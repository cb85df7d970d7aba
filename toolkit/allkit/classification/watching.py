"""Images into rows as they come into a folder, without end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from allkit.classification.arrivals import arrivals
from allkit.classification.job import Tally
from allkit.classification.ledger import Ledger
from allkit.errors import AllkitError, reason
from allkit.imaging.pixel_path import read_bytes
from allkit.runtime.classifier import Classifier
from allkit.runtime.inputs import images_below
from allkit.support.files import replacing


def watch(
    classifier: Classifier, ledger: Ledger, folder: Path, rest_s: float, left: set[Path], tick: Callable[[Tally], None]
) -> None:
    """Classify each image that comes into a folder once, and append its row; does not return.

    folder: an absolute path. rest_s: how long a file must rest to be whole. left: images that are not to be classified.
    tick: called after each row and about every second, with what has been classified since the call.
    """
    tally = Tally()
    for ready in arrivals(folder, rest_s, {*map(Path, ledger.done), *left}):
        if ready:
            for path, prediction in tally.counted(zip(ready, classifier(ready), strict=True)):
                ledger.add(path, prediction)
                tick(tally)
        tick(tally)


def left_out(folder: Path, output: Path) -> set[Path]:
    """The images that were there when an output was begun, from a hidden file beside it, which is made where there is
    no output yet; to be called before the output is opened."""
    record = output.with_name(f".{output.name}.left")
    try:
        if output.exists() and record.exists():
            return {Path(os.fsdecode(name)) for name in read_bytes(record).split(b"\0") if name}
        left = images_below(folder)
        with replacing(record) as temporary:
            temporary.write_bytes(b"\0".join(os.fsencode(path) for path in left))
        return set(left)
    except OSError as error:
        raise AllkitError(f"cannot use {record}: {reason(error)}") from error

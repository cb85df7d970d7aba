"""`allkit.audit`: a folder of labelled images, from options to a record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from allkit.auditing.audit import Audit, audit_dataset
from allkit.data.duplicates import NEAR_THRESHOLD
from allkit.data.index import scan
from allkit.data.protocol import BLOCK_LENGTH
from allkit.support.extras import require
from allkit.support.progress import Progress, counted


@dataclass(frozen=True)
class AuditOptions:
    """What `audit` examines.

    data: folder with one sub-folder of images per class. near_threshold: bits of 256 in which the difference hashes of
    near duplicates may differ. seed: of the splits. block_length: file numbers per block of the grouped protocol.
    """

    data: Path | str
    near_threshold: int = NEAR_THRESHOLD
    seed: int = 0
    block_length: int = BLOCK_LENGTH


def audit(options: AuditOptions, *, progress: Progress | None = None) -> Audit:
    """Examine labelled images: unreadable files, duplicates, and the accuracy of methods that cannot see cells.

    Raises AllkitError without the extra `eval`, for a folder that is no dataset, and when no image of a class can be
    read.
    """
    require("eval")
    progress, dataset = progress or Progress(), scan(options.data)
    return audit_dataset(
        dataset,
        options.near_threshold,
        options.seed,
        options.block_length,
        on_image=counted(progress, "reading images", len(dataset)),
        on_stage=lambda stage: progress.update(stage, 0.0),
    )

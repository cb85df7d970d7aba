"""Train, validation and test parts, as a file that can be read back and checked.

The unit that is dealt out is a group, never an image: byte-identical files form one group, so
no image stands on two sides. (In the ALL set 40 pairs of files are identical; a split image by
image puts about six test images into training.)
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allkit.dataset.index import Dataset, fingerprint
from allkit.errors import AllkitError
from allkit.files import write_text

PARTS = ("train", "validation", "test")
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Split:
    """Which relative paths belong to which part, and the content hash of each.

    protocol names how it was made ("random" is the paper's: 80/10/10, stratified by class);
    parameters and seed repeat it. hash covers all the rest.
    """

    protocol: str
    seed: int
    parameters: Mapping[str, Any]
    parts: Mapping[str, tuple[str, ...]]
    hashes: Mapping[str, str]

    @property
    def hash(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """What a record says of the split: protocol, seed, parameters, hash and the size of each part."""
        return {
            "protocol": self.protocol,
            "seed": self.seed,
            "parameters": dict(self.parameters),
            "hash": self.hash,
            "n": {part: len(paths) for part, paths in self.parts.items()},
        }

    def save(self, path: Path) -> None:
        record = {"schema_version": SCHEMA_VERSION, "hash": self.hash, **asdict(self)}
        write_text(path, json.dumps(record, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> Split:
        """Read a split file; AllkitError when it is missing, is not one, or was edited by hand."""
        try:
            record = json.loads(Path(path).read_text())
            version = record.pop("schema_version")
            digest = record.pop("hash")
            record["parts"] = {part: tuple(record["parts"][part]) for part in PARTS}
            split = cls(**record)
        except OSError as error:
            raise AllkitError(f"cannot read the split file {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AllkitError(f"{path} is not a split file of allkit: a run folder holds one as split.json") from error
        if version != SCHEMA_VERSION:
            raise AllkitError(f"{path} has split schema version {version}, this allkit reads {SCHEMA_VERSION}")
        if split.hash != digest:
            raise AllkitError(f"{path} was changed after it was written: its hash does not match its content")
        return split

    def check(self, hashes: Mapping[str, str]) -> None:
        """Refuse a tree whose images are not those that were split: AllkitError names the first difference."""
        advice = "use the images it was made from, or make a new split"
        for path, digest in self.hashes.items():
            if path not in hashes:
                raise AllkitError(f"the split names {path}, which is not among the images: {advice}")
            if hashes[path] != digest:
                raise AllkitError(f"{path} has changed since the split was made: {advice}")
        extra = next((path for path in hashes if path not in self.hashes), None)
        if extra is not None:
            raise AllkitError(f"{extra} is not in the split: {advice}")

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the images that were split."""
        return fingerprint(self.hashes)


def random_split(
    dataset: Dataset, hashes: Sequence[str], seed: int, validation: float = 0.1, test: float = 0.1
) -> Split:
    """The paper's protocol: random, stratified by class, identical files kept together.

    hashes: SHA-256 of each image of `dataset`, in its order. Each class gives the rounded share of its
    images, at least one, to validation and to test. Raises AllkitError when a class is too small to
    stand in all three parts.
    """
    rng = np.random.default_rng(seed)
    groups: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(hashes):
        groups[digest].append(row)
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for label, name in enumerate(dataset.classes):
        # A file that stands in two classes is dealt out with the first of them.
        members = [rows for rows in groups.values() if dataset.labels[rows[0]] == label]
        members = [members[i] for i in rng.permutation(len(members))]
        if len(members) < len(PARTS):
            raise AllkitError(
                f"class {name} has {len(members)} different images: it needs 3 or more to stand in "
                "train, validation and test"
            )
        count = sum(map(len, members))
        for reserve, part, share in ((2, "test", test), (1, "validation", validation)):
            wanted = max(1, round(count * share))
            while wanted > 0 and len(members) > reserve:
                wanted -= len(members[-1])
                parts[part] += members.pop()
        parts["train"] += [row for rows in members for row in rows]
    return Split(
        protocol="random",
        seed=seed,
        parameters={"validation": validation, "test": test},
        parts={part: tuple(dataset.paths[row] for row in sorted(rows)) for part, rows in parts.items()},
        hashes=dict(zip(dataset.paths, hashes, strict=True)),
    )

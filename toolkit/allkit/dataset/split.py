"""Train, validation and test parts, as a file that can be read back and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from allkit.dataset.index import fingerprint
from allkit.errors import AllkitError
from allkit.files import write_text

PARTS = ("train", "validation", "test")
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Split:
    """Which relative paths belong to which part.

    protocol names how it was made (see `protocol`) and parameters how exactly. hashes: content hash of every image
    that was dealt out. groups: the number of the group that each was dealt out with. An image in no part was left
    out on purpose, as an embargo between neighbours. `hash` covers all of it.
    """

    protocol: str
    parameters: Mapping[str, Any]
    parts: Mapping[str, tuple[str, ...]]
    hashes: Mapping[str, str]
    groups: Mapping[str, int]

    @property
    def hash(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """What a record says of the split: protocol, parameters, hash, and how many groups and images."""
        n = {part: len(paths) for part, paths in self.parts.items()}
        return {
            "protocol": self.label,
            "parameters": dict(self.parameters),
            "hash": self.hash,
            "groups": self.group_count,
            "n": {**n, "left_out": len(self.hashes) - sum(n.values())},
        }

    @property
    def group_count(self) -> int:
        """How many groups the images fall into."""
        return len(set(self.groups.values()))

    @property
    def label(self) -> str:
        """The protocol as it is called wherever a result appears."""
        return "random (paper protocol)" if self.protocol == "random" else self.protocol

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

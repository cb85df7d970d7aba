"""Train, validation and test parts, saved to a file that can be read back and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from allkit.data.index import fingerprint
from allkit.errors import AllkitError
from allkit.support.files import write_json
from allkit.support.names import check_image_paths
from allkit.support.reading import Count, Text, read_json

PARTS = ("train", "validation", "test")
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class _Record:
    """The fields of a split file."""

    schema_version: int
    hash: str
    protocol: Text
    # A list: the classes whose images were taken in the order of their names.
    parameters: dict[str, int | float | str | list[str]]
    parts: dict[Literal["train", "validation", "test"], Annotated[tuple[str, ...], Meta(min_length=1)]]
    hashes: dict[str, str]
    groups: dict[str, Count]

    def __post_init__(self):
        if len(self.parts) < len(PARTS):
            raise ValueError("a part is missing")


@dataclass(frozen=True)
class Split:
    """Which relative paths belong to which part.

    protocol, parameters: how it was made (see `protocol`). hashes: content hash of every image. groups: group number of
    every image. An image in no part was left out on purpose, as an embargo between neighbours. `hash` covers all
    fields.
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
        """The split in a record: protocol, parameters, hash, and the numbers of groups and images."""
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
        """Number of groups of images."""
        return len(set(self.groups.values()))

    @property
    def label(self) -> str:
        """The name of the protocol beside a result."""
        return "random (paper protocol)" if self.protocol == "random" else self.protocol

    def save(self, path: Path) -> None:
        record = {"schema_version": SCHEMA_VERSION, "hash": self.hash, **asdict(self)}
        write_json(path, record)

    @classmethod
    def load(cls, path: Path | str) -> Split:
        """Read a split file; AllkitError when it is missing, not a split, edited by hand, or inconsistent."""
        fix = "it is not a split file of allkit; a run folder holds one as split.json"
        record = read_json(path, _Record, fix, f"the split file {path}")
        if record.schema_version != SCHEMA_VERSION:
            raise AllkitError(
                f"{path} has split schema version {record.schema_version}, this allkit reads {SCHEMA_VERSION}"
            )
        parts = {part: record.parts[part] for part in PARTS}
        split = cls(record.protocol, record.parameters, parts, record.hashes, record.groups)
        if split.hash != record.hash:
            raise AllkitError(f"{path} was changed after it was written: its hash does not match its content")
        try:
            split._check()
        except AllkitError as error:
            raise AllkitError(f"{path} is not a split of allkit: {error}; make a new one") from error
        return split

    def _check(self) -> None:
        """Raise AllkitError if a path leads outside, is in two parts, or has no hash or group."""
        check_image_paths(self.hashes)
        dealt = [path for paths in self.parts.values() for path in paths]
        if len(set(dealt)) < len(dealt):
            raise AllkitError("an image is in two parts, or twice in one")
        if not self.hashes.keys() == self.groups.keys() >= set(dealt):
            raise AllkitError("an image has no hash or no group")

    def check(self, hashes: Mapping[str, str]) -> None:
        """Raise AllkitError, naming the first difference, if the images are not the ones that were split."""
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


def class_of(path: str) -> str:
    """The class of an image: the first part of its relative path."""
    return path.partition("/")[0]

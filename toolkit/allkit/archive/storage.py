"""Files and folders of this machine and of every store that pyarrow knows by a URI, such as s3:// and gs://."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from allkit.errors import AllkitError, reason
from allkit.support.extras import require

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_URI = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOGIN = re.compile(r"://[^/@]*@")


def is_uri(text: str) -> bool:
    """Whether a text is a URI and no path: `s3://bucket/folder`, not `C:\\images`."""
    return _URI.match(text) is not None


@dataclass(frozen=True)
class Place:
    """A file or a folder. name: how it is called in rows and messages. filesystem, path: where that is to pyarrow."""

    name: str
    filesystem: FileSystem
    path: str

    @property
    def local(self) -> bool:
        """Whether it lies on this machine, where paths need not be UTF-8 and need no pyarrow."""
        return self.filesystem.type_name == "local"

    def below(self, path: str) -> Place:
        """This place, or one below it, by its path in the same file system."""
        relative = path.removeprefix(self.path).lstrip("/")
        if not relative:
            return self
        name = str(Path(self.name) / relative) if self.local else f"{self.name}/{relative}"
        return Place(name, self.filesystem, path)

    def read(self) -> bytes:
        """The content of a file of at most `MOST_BYTES`; AllkitError when it cannot be read."""
        # Here, for the command line asks only whether a text is a URI.
        from allkit.imaging.pixel_path import MOST_BYTES, read_bytes

        if self.local:
            return read_bytes(self.path, name=self.name)
        try:
            with self.filesystem.open_input_stream(self.path) as stream:
                data = stream.read(MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            raise AllkitError(f"cannot read {self.name}: {reason(error)}") from error
        if len(data) > MOST_BYTES:
            raise AllkitError(f"cannot read {self.name}: it is larger than {MOST_BYTES // 2**20} MiB")
        return data


def place_of(source: str | Path) -> Place:
    """The place that a path or a URI names, there or not; AllkitError for a URI that pyarrow cannot use."""
    require("parquet")
    from pyarrow.fs import FileSystem, LocalFileSystem

    text = os.fspath(source)
    if not is_uri(text):
        return Place(text.rstrip("/") or "/", LocalFileSystem(), os.path.abspath(text))
    # Neither a password nor how to reach the store, keys among it, is part of a name.
    name = _LOGIN.sub("://", text.partition("?")[0]).rstrip("/")
    try:
        filesystem, path = FileSystem.from_uri(text)
    except (OSError, ValueError) as error:
        raise AllkitError(
            f"cannot use {name}: {reason(error)}; give a path, or a URI such as s3://bucket/folder"
        ) from error
    return Place(name, filesystem, path.rstrip("/"))

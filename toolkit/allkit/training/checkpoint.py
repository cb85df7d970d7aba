"""The file that an interrupted training resumes from: all variables and the history after the last finished epoch.

It is NumPy's .npz, read with care: an archive that is damaged, or made to harm, is refused before it is believed.
Each array must have the shape and type of its variable, and the sizes in the archive must be those, before memory is
taken for any; nothing is unpickled or unpacked.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tokenize import TokenError

import numpy as np

from allkit.errors import AllkitError
from allkit.runs.history import Epoch, check_consecutive
from allkit.support.files import replacing
from allkit.support.reading import parse_json

_HISTORY = "history"
# What NumPy writes before the numbers of an array is 128 bytes for a few dimensions; a history of 10,000 epochs has
# some 8 MiB.
_MOST_HEADER, _MOST_HISTORY = 2**12, 2**26

# What `zipfile` and NumPy's header raise for what is none; SyntaxError, TokenError and TypeError for a header that is
# no literal, RuntimeError for an encrypted file, NotImplementedError for an unknown compression.
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TokenError,
    MemoryError,
    zipfile.BadZipFile,
)


def save(path: Path, variables: Sequence[np.ndarray], history: Sequence[Epoch]) -> None:
    """Write the variables, in their order, and the history; whole or not at all."""
    arrays = {str(i): variable for i, variable in enumerate(variables)}
    with replacing(path) as temporary:
        np.savez(temporary, **{_HISTORY: json.dumps([asdict(row) for row in history])}, **arrays)


def load(path: Path, like: Sequence[np.ndarray], epochs: int) -> tuple[list[np.ndarray], list[Epoch]]:
    """What `save` wrote. like: arrays with the shapes and types of the variables; epochs: the most there can be.

    Raises AllkitError when the file is damaged, or was made for another network or a shorter training.
    """
    fix = "delete it to train this run from the start"
    try:
        with zipfile.ZipFile(path) as archive:
            names = {f"{i}.npy" for i in range(len(like))} | {f"{_HISTORY}.npy"}
            if {entry.filename for entry in archive.infolist()} != names or len(archive.infolist()) != len(names):
                raise ValueError(f"it does not hold {len(like)} variables and a history")
            text = _array(archive, _HISTORY, None)
            variables = [_array(archive, str(i), one) for i, one in enumerate(like)]
        if text.shape or text.dtype.kind != "U":
            raise ValueError("its history is no text")
        history = parse_json(str(text), list[Epoch], f"the history in {path}", fix)
        check_consecutive(history)
        if len(history) > epochs:
            raise ValueError(f"it has {len(history)} epochs, more than the {epochs} of this training")
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AllkitError(
            f"the checkpoint {path} is damaged or belongs to another training ({reason}): {fix}"
        ) from error
    return variables, history


def _array(archive: zipfile.ZipFile, name: str, like: np.ndarray | None) -> np.ndarray:
    """An array of the archive, which must have the shape and type of `like` where that is given."""
    entry = archive.getinfo(f"{name}.npy")
    most = (_MOST_HISTORY if like is None else like.nbytes) + _MOST_HEADER
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.file_size > most:
        raise ValueError(f"array {name} is packed, or larger than it can be")
    # Reading to the end checks the sum of the content, too.
    stream = io.BytesIO(archive.read(entry))
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"array {name} is of version {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if like is not None and (shape, dtype) != (like.shape, like.dtype):
        raise ValueError(f"array {name} is {dtype} {shape}, the network has {like.dtype} {like.shape}")
    if dtype.hasobject:
        raise ValueError(f"array {name} holds objects")
    content = stream.read()
    if len(content) != dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise ValueError(f"array {name} is truncated")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    return array.copy()

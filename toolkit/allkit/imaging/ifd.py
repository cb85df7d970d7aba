"""The first directory of a TIFF, also used by EXIF."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass

from allkit.imaging.limits import unreadable

# More than any writer needs; every tag takes time.
_MOST_TAGS, _MOST_VALUES = 4096, 2**20

# Field type to struct format, for unsigned integers and plain bytes; other types are ignored.
_INTEGERS = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q", 18: "Q"}


@dataclass(frozen=True)
class Directory:
    """values: tag to integers. places: tag to the offset of its values. following: the next offset, or 0."""

    values: dict[int, tuple[int, ...]]
    places: dict[int, int]
    following: int


def read_directory(data: bytes, wanted: Collection[int]) -> Directory:
    """Read the wanted tags of the first directory; AllkitError if it does not lie inside the data."""
    try:
        order = {b"II": "<", b"MM": ">"}[data[:2]]
        big = {42: False, 43: True}[struct.unpack_from(order + "H", data, 2)[0]]
        count_format, entry_format, offset_format = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
        at = struct.unpack_from(order + offset_format, data, 8 if big else 4)[0]
        (count,) = struct.unpack_from(order + count_format, data, at)
        if count > _MOST_TAGS:
            raise unreadable(f"its directory claims {count} entries")
        at += struct.calcsize(order + count_format)
        head, inline = struct.calcsize(order + entry_format), struct.calcsize(order + offset_format)
        found: dict[int, tuple[int, ...]] = {}
        places: dict[int, int] = {}
        for _ in range(count):
            tag, kind, number = struct.unpack_from(order + entry_format, data, at)
            if tag in wanted and kind in _INTEGERS:
                if number > _MOST_VALUES:
                    raise unreadable(f"its tag {tag} claims {number} values")
                values = f"{order}{number}{_INTEGERS[kind]}"
                place = at + head
                if struct.calcsize(values) > inline:
                    (place,) = struct.unpack_from(order + offset_format, data, place)
                # libtiff takes the first of a repeated tag.
                if tag not in found:
                    found[tag], places[tag] = struct.unpack_from(values, data, place), place
            at += head + inline
        (following,) = struct.unpack_from(order + offset_format, data, at)
    except (struct.error, KeyError, OverflowError) as error:
        raise unreadable("damaged, its directory does not lie inside the file") from error
    return Directory(found, places, following)

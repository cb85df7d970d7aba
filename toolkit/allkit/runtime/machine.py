"""The name of this machine, so that measurements on one machine are not taken for those of another."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# CPU parts of ARM Ltd by the number in /proc/cpuinfo, as named in the technical reference manuals.
_ARM_PARTS = {
    0xB76: "ARM1176",
    0xC07: "Cortex-A7",
    0xC08: "Cortex-A8",
    0xC09: "Cortex-A9",
    0xC0E: "Cortex-A17",
    0xC0F: "Cortex-A15",
    0xD01: "Cortex-A32",
    0xD02: "Cortex-A34",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD06: "Cortex-A65",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD0E: "Cortex-A76AE",
    0xD15: "Cortex-R82",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xD43: "Cortex-A65AE",
    0xD44: "Cortex-X1",
    0xD46: "Cortex-A510",
    0xD47: "Cortex-A710",
    0xD48: "Cortex-X2",
    0xD49: "Neoverse-N2",
    0xD4A: "Neoverse-E1",
    0xD4B: "Cortex-A78C",
    0xD4C: "Cortex-X1C",
    0xD4D: "Cortex-A715",
    0xD4E: "Cortex-X3",
    0xD4F: "Neoverse-V2",
    0xD80: "Cortex-A520",
    0xD81: "Cortex-A720",
    0xD82: "Cortex-X4",
    0xD84: "Neoverse-V3",
    0xD85: "Cortex-X925",
    0xD87: "Cortex-A725",
    0xD8E: "Neoverse-N3",
}
_ARM_LTD = 0x41
_BOARDS = ("/proc/device-tree/model", "/sys/firmware/devicetree/base/model")


def processor() -> str:
    """The processor's name according to the system, and whether it has int8 instructions (VNNI) if known.

    Linux on ARM reports no name; there it is the board and its CPU parts, as in `Raspberry Pi 4 Model B Rev 1.4,
    Cortex-A72`.
    """
    name = platform.processor() or platform.machine()
    if sys.platform != "linux":
        return name
    facts = _read("/proc/cpuinfo")
    if platform.machine().lower().startswith(("arm", "aarch64")):
        return ", ".join(filter(None, (_board(facts), _parts(facts)))) or name
    return next(_values(facts, "model name"), name) + (", VNNI" if "vnni" in facts else "")


def identity() -> str:
    """The processor's name and the instruction-set features that NumPy detected on the processor itself.

    Under emulation the name may be that of the host, whose instructions differ.
    """
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    return f"{processor()} ({' '.join(found) or 'baseline'})"


def _board(facts: str) -> str | None:
    # The text of a device tree ends with a null byte.
    told = (_read(path).replace("\0", " ") for path in _BOARDS)
    names = (*told, *_values(facts, "Model"), *_values(facts, "Hardware"))
    return next((" ".join(name.split()) for name in names if name.strip()), None)


def _parts(facts: str) -> str:
    """The kinds of cores, each once, in system order; unknown parts by their numbers."""
    numbers = zip(_values(facts, "CPU implementer"), _values(facts, "CPU part"), strict=False)
    return " + ".join(dict.fromkeys(_part(implementer, part) for implementer, part in numbers))


def _part(implementer: str, part: str) -> str:
    try:
        known = _ARM_PARTS.get(int(part, 16)) if int(implementer, 16) == _ARM_LTD else None
    except ValueError:
        known = None
    return known or f"implementer {implementer} part {part}"


def _values(facts: str, name: str) -> Iterator[str]:
    """The values of a key in /proc/cpuinfo, usually one per core; empty values are skipped."""
    for line in facts.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name and value.strip():
            yield value.strip()


def _read(path: str) -> str:
    """The text of a system file, empty if it cannot be read."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""

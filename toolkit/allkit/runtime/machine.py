"""What the machine at hand is."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name, as the system tells it, and whether it has the int8 instructions (VNNI) where known."""
    name = platform.processor() or platform.machine()
    if sys.platform != "linux":
        return name
    facts = Path("/proc/cpuinfo").read_text(errors="replace")
    lines = [line.partition(":")[2].strip() for line in facts.splitlines() if line.startswith("model name")]
    return (lines[0] if lines else name) + (", VNNI" if "vnni" in facts else "")

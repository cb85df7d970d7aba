"""How the cores of a machine are divided among images.

A one-thread session can be called by several threads at once. Small networks run best that way: each image on its own
core, no core waiting for another. A large network fills the caches by itself and runs best on all cores, with a second
caller that decodes meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from allkit.support.cpus import cores

# Files up to this size contain a small network.
SMALL_BYTES = 8 * 2**20

# A remembered plan is read from disk, so it may contain anything.
Count = Annotated[int, msgspec.Meta(ge=1, le=2**16)]


@dataclass(frozen=True)
class Plan:
    """workers: threads that each take whole batches from file to result. threads: number that compute one run of the
    model. batch_size: images per run."""

    workers: Count
    threads: Count
    batch_size: Count


def default_plan(model_bytes: int, mode: str = "throughput") -> Plan:
    """The CPU plan of a model that was not tuned. mode: throughput, many images; latency, one at a time."""
    if mode == "latency":
        return Plan(workers=1, threads=cores(), batch_size=1)
    if model_bytes <= SMALL_BYTES:
        return Plan(workers=cores(), threads=1, batch_size=8)
    return Plan(workers=min(2, cores()), threads=cores(), batch_size=8)


def gpu_plan(mode: str = "throughput") -> Plan:
    """The plan for a GPU: all cores decode while one worker waits for it, and a batch fills it."""
    if mode == "latency":
        return Plan(workers=1, threads=1, batch_size=1)
    return Plan(workers=cores() + 1, threads=1, batch_size=32)

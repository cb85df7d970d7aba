"""The best plan for a model on a machine, measured and remembered.

Plans are kept in one file per user, `plans.json` in the cache folder, by machine, content of the model and version of
onnxruntime.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime

from allkit.errors import AllkitError
from allkit.runtime.machine import identity
from allkit.runtime.pipeline import Source, run_in_batches
from allkit.runtime.plan import Plan
from allkit.runtime.profile import Profile
from allkit.runtime.session import Model
from allkit.support.cpus import cores
from allkit.support.files import cache_folder, content_hash, read_cache, write_cache

_PLANS = "plans.json"
_LEAST_ROUNDS = 3


def tuned_plan(model: Path) -> Plan | None:
    """The remembered plan, None if there is none or it cannot be read."""
    plans = read_cache(_PLANS)
    # Hashing the model takes longer than reading an empty cache.
    plan = plans.get(_key(model)) if plans else None
    try:
        return None if plan is None else msgspec.convert(plan, Plan)
    except msgspec.ValidationError:
        return None


def remember(model: Path, plan: Plan) -> Path | None:
    """Remember a plan for a model on this machine; return the file it is in, None if it could not be written."""
    kept = write_cache(_PLANS, {**read_cache(_PLANS), _key(model): asdict(plan)})
    return cache_folder() / _PLANS if kept else None


def candidates() -> list[Plan]:
    """Plans worth trying: one-thread runs in parallel, or runs on all cores with or without another caller."""
    count = cores()
    side_by_side = [Plan(workers, 1, size) for workers in (count, count + 1) for size in (1, 8, 32)]
    over_all = [Plan(workers, count, size) for workers in (1, 2) for size in (1, 8, 32)]
    return list(dict.fromkeys(side_by_side + over_all))


def measure(
    model: Path, images: Sequence[Source], seconds: float, progress: Callable[[float], None] = lambda done: None
) -> dict[Plan, float]:
    """Images per second of each candidate, from file to result, fastest first.

    The candidates take turns over all images for at least `seconds` and three rounds after a warm-up; the result is the
    median of the rounds. progress: called after each turn of a candidate with the share of the work done, below 1.
    Raises AllkitError when an image cannot be read.
    """
    plans = candidates()
    sessions = {
        (plan.threads, plan.workers > 1): Model(model, "cpu", plan.threads, shared=plan.workers > 1) for plan in plans
    }
    rates: dict[Plan, list[float]] = {plan: [] for plan in plans}
    start, rounds, turns = time.perf_counter(), 0, 0
    while rounds <= _LEAST_ROUNDS or time.perf_counter() - start < seconds:
        for plan in plans:
            session = sessions[plan.threads, plan.workers > 1]
            begin = time.perf_counter()
            for result in run_in_batches(images, session.contract.pixels, _probabilities(session), plan):
                if isinstance(result, AllkitError):
                    raise result
            if rounds:
                rates[plan].append(len(images) / (time.perf_counter() - begin))
            turns += 1
            done = turns / ((_LEAST_ROUNDS + 1) * len(plans)), (time.perf_counter() - start) / max(seconds, 1e-9)
            progress(min(0.99, *done))
        rounds += 1
    medians = {plan: statistics.median(rate) for plan, rate in rates.items()}
    return dict(sorted(medians.items(), key=lambda item: -item[1]))


def stage_costs(model: Path, images: Sequence[Source]) -> dict[str, float]:
    """Seconds per image of each stage from file to result, on one thread with nothing else running."""
    session, profile = Model(model, "cpu", threads=1), Profile()
    run = _probabilities(session)
    for _ in run_in_batches(images, session.contract.pixels, run, Plan(1, 1, 8), profile):
        pass
    worker = next(stages for stages in profile.by_thread().values() if stages["infer"])
    return {stage: worker[stage] / len(images) for stage in ("read", "decode", "resize", "infer")}


def _probabilities(model: Model) -> Callable[[np.ndarray], np.ndarray]:
    return lambda batch: model.run(batch).probabilities


def _key(model: Path) -> str:
    return f"{identity()} x {cores()}, onnxruntime {onnxruntime.__version__}, model {content_hash(model)}"

"""The runs in a folder: the newest that is finished, or is not."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import natural_key
from allkit.runs.run import Run
from allkit.support.files import listing


def find_runs(folder: Path) -> list[Run]:
    """The readable runs directly below `folder`, newest first by the time of their settings."""
    found = [path / "run.json" for path in listing(folder) if os.path.isfile(path / "run.json")]
    settings = sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    runs = []
    for path in settings:
        # A damaged run must not stand in the way of the others; opened by its name it says what is wrong.
        with contextlib.suppress(AllkitError):
            runs.append(Run.open(path.parent))
    return runs


def newest_of_each(folder: Path) -> list[Run]:
    """The newest finished run of each name (architecture, width, size), by name; AllkitError when there is none."""
    newest: dict[str, Run] = {}
    for run in find_runs(folder):
        if run.finished:
            newest.setdefault(run.settings.name, run)
    if not newest:
        raise AllkitError(f"no finished run in {folder}: train one with allkit train")
    return [newest[name] for name in sorted(newest, key=natural_key)]


def newest_finished(folder: Path, size_px: int | None = None) -> Run:
    """The newest finished run below `folder`, of the given size if one is given.

    AllkitError names the sizes there are, the unfinished runs, and the command that would train the missing one.
    """
    runs = find_runs(folder)
    finished = [run for run in runs if run.finished]
    for run in finished:
        if size_px in (None, run.settings.pixels.size_px):
            return run
    wanted = "" if size_px is None else f" at {size_px} px"
    sizes = sorted({run.settings.pixels.size_px for run in finished})
    there = f"there are runs at {', '.join(map(str, sizes))} px" if sizes else "there is no finished run"
    waiting = [run.folder for run in runs if not run.finished and size_px in (None, run.settings.pixels.size_px)]
    advice = (
        f"go on with the unfinished one: allkit train --out {waiting[0]} --resume"
        if waiting
        else f"train one: allkit train --data DIR --recipe scratch --size {size_px or 150}"
    )
    raise AllkitError(f"no finished run{wanted} in {folder}: {there}; {advice}")


def newest_unfinished(folder: Path) -> Run:
    """The run to resume; AllkitError when all are finished."""
    for run in find_runs(folder):
        if not run.finished:
            return run
    raise AllkitError(f"no unfinished run in {folder}: name its folder with --out, or train without --resume")

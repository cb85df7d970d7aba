"""The trainings that were tried for the model that ships, as a table.

    python benchmarks/trials.py benchmarks/results/trials > table.md

The folder holds metrics.json of each run as NAME.json, and beside it what `allkit evaluate MODEL --shift --json` said
of a file exported from it as NAME-shifts.json, where there is one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from allkit.metrics import Interval
from allkit.runs.recipe import SCRATCH, Recipe


def changed(settings: dict) -> str:
    """What is not recipe `scratch`."""
    usual = SCRATCH.to_dict()
    recipe = Recipe.from_dict(settings["recipe"]).to_dict()
    recipe = {name: value for name, value in recipe.items() if value != usual[name] and name != "epochs"}
    if recipe.get("plain_statistics", 0) is None:
        recipe["plain_statistics"] = "not taken anew"
    recipe |= {name: " ".join(value) for name, value in recipe.items() if isinstance(value, tuple)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in recipe.items()) or "-"


def main(folder: str) -> None:
    header = ("trial", "network", "changed from `scratch`", "epochs", "minutes", "split", "n", "as trained", "exported")
    rows = [(*header, "shifts, mean", "shifts, worst"), ["---"] * (len(header) + 2)]
    for path in sorted(Path(folder).glob("*.json")):
        if path.stem.endswith("-shifts"):
            continue
        record = json.loads(path.read_text())
        settings, accuracy = record["settings"], Interval(**record["metrics"]["accuracy"])
        beside = path.with_name(f"{path.stem}-shifts.json")
        shifts = exported = worst = "-"
        if beside.exists():
            evaluation = json.loads(beside.read_text())
            precision = Path(evaluation["model"]).stem.rpartition("-")[2]
            exported = f"{Interval(**evaluation['metrics']['accuracy']).percent(2)} {precision}"
            found = evaluation["shifts"]
            shifts = f"{found['mean_accuracy']:.1%}"
            # Before records held the hash of the file, the suite decoded everything at full size.
            if settings["pixels"].get("jpeg_scale", 1) != 1 and "sha256" not in evaluation:
                shifts += " (at full size)"
            value = next(row["accuracy"]["value"] for row in found["rows"] if row["name"] == found["worst"])
            worst = f"{value:.1%} ({found['worst']})"
        rows.append(
            (
                path.stem,
                f"x{settings['width']:g}, {settings['pixels']['size_px']} px",
                changed(settings),
                str(settings["recipe"]["epochs"]),
                f"{record['training_seconds'] / 60:.0f}",
                record["split"]["protocol"].partition(" ")[0],
                str(record["metrics"]["n"]),
                accuracy.percent(2),
                exported,
                shifts,
                worst,
            )
        )
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The trainings that were tried for the models that ship, as a Markdown table.

    python benchmarks/trials.py benchmarks/results/trials benchmarks/results/grouped

A folder holds the metrics.json of each training as NAME.json and, where a model was exported from it, the output of
`allkit evaluate MODEL --shift --json` as NAME-shifts.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from allkit.metrics import Interval
from allkit.runs.recipe import SCRATCH

BAR = Path(__file__).parent / "results" / "comparators" / "vgg16-features-grouped.json"

# What the recipe of the models that ship changes in `scratch`.
STRONG = {
    "channel_gain": 0.15,
    "channel_offset": 0.08,
    "erase": 0.25,
    "gamma": 0.5,
    "grey": 0.25,
    "hue_degrees": 30.0,
    "saturation": 0.5,
    "weight_decay": 0.05,
    "zoom": 0.15,
}
# The numeric precision does not matter here, the epochs have a column of their own, and the weights file its name;
# a teacher, an option that is gone, was used with its defaults.
APART = ("precision", "epochs", "weights_sha256", "weights_license", "teacher_share", "teacher_views")


def changes(recipe: dict) -> str:
    """The options in which a recipe differs from `scratch`, with "strong" for those of the models that ship."""
    # As recorded: older recipes lack the options that came later, and have some that have gone.
    usual = SCRATCH.to_dict()
    found = {name: value for name, value in recipe.items() if value and value != usual.get(name) and name not in APART}
    named = []
    if all(found.get(name) == value for name, value in STRONG.items()):
        named, found = ["strong"], {name: value for name, value in found.items() if name not in STRONG}
    if "teacher" in found:
        found["teacher"] = " ".join(found["teacher"])
    if "plain_statistics" not in recipe:
        found["plain_statistics"] = "none"
    return ", ".join([*named, *(f"{name.replace('_', ' ')} {value}" for name, value in found.items())]) or "none"


def shifted(path: Path, jpeg_scale: int) -> tuple[str, str, str]:
    """Accuracy of the exported model, its mean under the suite of shifts, and its worst."""
    if not path.exists():
        return "-", "-", "-"
    evaluation = json.loads(path.read_text())
    precision = Path(evaluation["model"]).stem.rpartition("-")[2]
    suite = evaluation["shifts"]
    worst = next(row["accuracy"]["value"] for row in suite["rows"] if row["name"] == suite["worst"])
    # Until records held the hash of the file, the suite decoded every image at full size.
    mark = "*" if jpeg_scale != 1 and "sha256" not in evaluation else ""
    return (
        f"{Interval(**evaluation['metrics']['accuracy']).percent(2)} {precision}",
        f"{suite['mean_accuracy']:.1%}{mark}",
        f"{worst:.1%}{mark} ({suite['worst']})",
    )


def row(path: Path) -> tuple[str, ...]:
    record = json.loads(path.read_text())
    settings = record["settings"]
    return (
        path.stem,
        f"{settings['architecture']} x{settings['width']:g}, {settings['pixels']['size_px']} px",
        changes(settings["recipe"]),
        str(settings["recipe"]["epochs"]),
        f"{record['training_seconds'] / 60:.0f}",
        record["split"]["protocol"].partition(" ")[0],
        Interval(**record["metrics"]["accuracy"]).percent(2),
        *shifted(path.with_name(f"{path.stem}-shifts.json"), settings["pixels"].get("jpeg_scale", 1)),
    )


def bar() -> tuple[str, ...]:
    """The row of a method that was not tried but has to be beaten: features of ImageNet VGG16, nothing fine-tuned."""
    record = json.loads(BAR.read_text())
    accuracy = Interval(**record["scores"]["accuracy"]).percent(2)
    words = ("ImageNet weights, logistic regression", "-", "-", "grouped")
    return (BAR.stem, f"features of vgg16-block3 x1, {record['size_px']} px", *words, accuracy, *"---")


def main(*folders: str) -> None:
    header = ("trial", "network", "changes to `scratch`", "epochs", "minutes", "split", "as trained", "exported")
    rows = [(*header, "shifts, mean", "shifts, worst"), ["---"] * (len(header) + 2)]
    for folder in folders:
        rows += [row(path) for path in sorted(Path(folder).glob("*.json")) if not path.stem.endswith("-shifts")]
    rows.append(bar())
    print("\n".join(f"| {' | '.join(cells)} |" for cells in rows))


if __name__ == "__main__":
    main(*sys.argv[1:])

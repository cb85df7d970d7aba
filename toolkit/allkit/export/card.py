"""The model card: what the contract says, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allkit.contract import Contract


def model_card(path: Path, contract: Contract) -> str:
    """Markdown for the exported file at `path`."""
    accuracy, split, check, pixels = contract.accuracy, contract.split, contract.verification, contract.pixels
    baseline, calibration, abstention = contract.baseline, contract.calibration, contract.abstention
    recipe = "\n".join(f"| {name} | {value} |" for name, value in contract.recipe.items())
    parameters = ", ".join(f"{name} {value}" for name, value in split["parameters"].items())
    verified = (
        f"{check['n']} images: largest probability difference from the Keras model "
        f"{check['max_probability_difference']:.1e}, same class on {check['agreement']:.0%}"
    )
    calibrated = (
        f"temperature {contract.temperature:.3f}; expected calibration error {calibration['ece_before']:.4f} before, "
        f"{calibration['ece_after']:.4f} after ({calibration['part']} part, n = {calibration['n']})"
    )
    doubt = (
        f"prediction sets of coverage {abstention['coverage']:g}: classes from probability "
        f"{abstention['threshold']:.4f} on (split conformal, n = {abstention['n']}); not exactly one: uncertain"
    )
    unfamiliar = f"{contract.familiarity['method']} above {contract.familiarity['threshold']:.2f}"
    return f"""# {path.stem}

For **{contract.intended_use}**. A figure measured on one public dataset says how well the model fits that
dataset; it is no evidence of clinical value.

| | |
|---|---|
| task | one label for a blood-smear image: {", ".join(contract.classes)} |
| architecture | {contract.architecture}, width {contract.width:g}, after Najjar et al. 2025 |
| file | {path.name}, {path.stat().st_size / 2**20:.2f} MiB, {contract.precision} |
| input | `image`: uint8 [batch, {pixels.size_px}, {pixels.size_px}, 3], RGB, normalised inside the graph |
| pixel path | {pixels.aspect}, then resized with {pixels.shrink} (shrinking) or {pixels.enlarge} (enlarging) |
| output | `probabilities`: float32 [batch, {len(contract.classes)}]; `distance`: float32 [batch] |
| accuracy | {_share(accuracy)}, n = {accuracy["n"]} |
| baseline | {_share(baseline)}: {baseline["method"]}, on the same images |
| measured on | {accuracy["part"]} part, split {split["protocol"]} ({parameters}), hash `{split["hash"][:12]}` |
| data | fingerprint `{contract.data_fingerprint[:12]}` |
| verified | {verified} |
| calibrated | {calibrated} |
| doubt | {doubt} |
| unfamiliar | {unfamiliar} |

A model that is no better than the baseline has shown no more than that colour tells these classes apart.

![reliability]({path.with_suffix(".reliability.png").name})

## Use

    allkit classify FOLDER --model {path.name}

## Training

Recipe `{contract.recipe["name"]}`:

| field | value |
|---|---|
{recipe}

Made with {", ".join(f"{name} {version}" for name, version in contract.versions.items())}.

## Sources

Architecture: Najjar, Abd Kadum, Kadhimi, Ramadhan, "Acute Lymphoblastic Leukemia Classification Using Modified
VGG16 Architecture", Iraqi Journal of Science, 2025. If trained on the ALL image dataset: Aria et al., doi
10.34740/KAGGLE/DSV/2175623; Ghaderzadeh et al. 2022, doi 10.1002/int.22753.
"""


def _share(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:.2%}, 95 % Wilson interval {figure['low']:.2%} to {figure['high']:.2%}"

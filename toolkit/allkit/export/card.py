"""The model card: what the contract says, for a person."""

from __future__ import annotations

from pathlib import Path

from allkit.contract import Contract


def model_card(path: Path, contract: Contract) -> str:
    """Markdown for the exported file at `path`."""
    accuracy, split, check = contract.accuracy, contract.split, contract.verification
    pixels = contract.pixels
    recipe = "\n".join(f"| {name} | {value} |" for name, value in contract.recipe.items())
    interval = f"95 % Wilson interval {accuracy['low']:.2%} to {accuracy['high']:.2%}, n = {accuracy['n']}"
    measured = (
        f"{accuracy['part']} part of a {split['protocol']} split, seed {split['seed']}, hash `{split['hash'][:12]}`"
    )
    verified = (
        f"{check['n']} images: largest probability difference from the Keras model "
        f"{check['max_probability_difference']:.1e}, same class on {check['agreement']:.0%}"
    )
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
| output | `probabilities`: float32 [batch, {len(contract.classes)}] |
| accuracy | {accuracy["value"]:.2%}, {interval} |
| measured on | {measured} |
| data | fingerprint `{contract.data_fingerprint[:12]}` |
| verified | {verified} |

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

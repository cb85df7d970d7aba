"""The model card: what the contract says, for a person. Texts that come from elsewhere are no markup in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allkit.model.architecture import ARCHITECTURES
from allkit.model.contract import Contract
from allkit.support.text import markdown

_SAFE_ANYWHERE = """Weights have seven bits: no kernel can saturate, so any ONNX Runtime gives the same answers on any
processor."""

_SAFE_WITH_ALLKIT = """Weights have eight bits: exact on ARM, on x86 with VNNI (Intel from Cascade Lake and Ice Lake,
AMD from Zen 4) and on x86 without AVX2. On other x86 processors the fastest kernels of ONNX Runtime saturate and **give
wrong answers**. allkit notices that and takes exact ones; other programs must set the session option
`session.x64quantprecision` to `1`, or use a file exported with `--seven-bit`."""


def model_card(path: Path, contract: Contract) -> str:
    """Markdown for the exported file at `path`."""
    facts = "\n".join(f"| {name} | {text} |" for name, text in _facts(path, contract).items())
    recipe = "\n".join(f"| {name} | {markdown(str(value))} |" for name, value in contract.recipe.items())
    return f"""# {markdown(path.stem)}

For **{contract.intended_use}**. A figure measured on one public dataset says how well the model fits that
dataset; it is no evidence of clinical value.

| | |
|---|---|
{facts}

A model that is no better than the baseline has shown no more than that colour tells these classes apart.

![reliability]({path.with_suffix(".reliability.png").name})

## Use

    allkit classify FOLDER --model {path.name}

{_int8(contract)}## Training

Recipe `{contract.recipe["name"]}`:

| field | value |
|---|---|
{recipe}

Made with {markdown(", ".join(f"{name} {version}" for name, version in contract.versions.items()))}.

## Sources

{_network(contract)}
Task: Najjar, Abd Kadum, Kadhimi, Ramadhan, "Acute Lymphoblastic Leukemia Classification Using Modified VGG16
Architecture", Iraqi Journal of Science, 2025.

If trained on the ALL image dataset: Aria et al., doi 10.34740/KAGGLE/DSV/2175623; Ghaderzadeh et al. 2022,
doi 10.1002/int.22753.
"""


def _network(contract: Contract) -> str:
    """Where the architecture was published, as a sentence; empty for one that this version of allkit does not have."""
    network = ARCHITECTURES.get(contract.architecture)
    return f"Architecture {contract.architecture}: {network.source}.\n" if network else ""


def _facts(path: Path, contract: Contract) -> dict[str, str]:
    """The rows of the first table."""
    accuracy, baseline, familiarity = contract.accuracy, contract.baseline, contract.familiarity
    size_px = contract.pixels.size_px
    return {
        "task": f"one label for a blood-smear image: {', '.join(map(markdown, contract.classes))}",
        "architecture": f"{contract.architecture}, width {contract.width:g}",
        "file": f"{markdown(path.name)}, {path.stat().st_size / 2**20:.2f} MiB, {contract.precision}",
        "input": f"`image`: uint8 [batch, {size_px}, {size_px}, 3], RGB, normalised inside the graph",
        "pixel path": _pixel_path(contract),
        "output": f"`probabilities`: float32 [batch, {len(contract.classes)}]; `distance`: float32 [batch]",
        "accuracy": f"{_share(accuracy)}, n = {accuracy['n']}",
        "baseline": f"{_share(baseline)}: {markdown(baseline['method'])}, on the same images",
        "measured on": _measured(contract),
        "data": f"fingerprint `{contract.data_fingerprint[:12]}`",
        "verified": _verified(contract),
        "speed": _speed(contract),
        "heat map": _heatmap(contract),
        "calibrated": _calibrated(contract),
        "doubt": _doubt(contract),
        "unfamiliar": f"{familiarity['method']} above {familiarity['threshold']:.2f}",
    }


def _pixel_path(contract: Contract) -> str:
    pixels = contract.pixels
    jpeg = "; JPEG files decoded at half scale" if pixels.jpeg_scale == 2 else ""
    return f"center-crop, then resized with {pixels.shrink} (shrinking) or {pixels.enlarge} (enlarging){jpeg}"


def _measured(contract: Contract) -> str:
    split = contract.split
    parameters = ", ".join(markdown(f"{name} {value}") for name, value in split["parameters"].items())
    part = f"{markdown(contract.accuracy['part'])} part"
    return f"{part}, split {markdown(split['protocol'])} ({parameters}), hash `{split['hash'][:12]}`"


def _speed(contract: Contract) -> str:
    latency = contract.latency
    where = f"{latency['cores']} cores ({markdown(latency['processor'])})"
    speed = f"{latency['ms']:.2f} ms an image (batch 1, median) on {where}"
    if contract.precision != "fp32":
        speed += f"; {latency['fp32_ms'] / latency['ms']:.2f} times as fast as fp32 there"
    if contract.slower_than_fp32:
        speed += "; **slower than fp32 there: not recommended on that machine**"
    return speed


def _calibrated(contract: Contract) -> str:
    calibration = contract.calibration
    return (
        f"temperature {contract.temperature:.3f}; expected calibration error {calibration['ece_before']:.4f} before, "
        f"{calibration['ece_after']:.4f} after ({markdown(calibration['part'])} part, n = {calibration['n']})"
    )


def _doubt(contract: Contract) -> str:
    abstention = contract.abstention
    return (
        f"prediction sets of coverage {abstention['coverage']:g}: classes from probability "
        f"{abstention['threshold']:.4f} on (split conformal, n = {abstention['n']}); not exactly one: uncertain"
    )


def _verified(contract: Contract) -> str:
    check, gate = contract.verification, contract.gate
    fp32 = (
        f"fp32 on {check['n']} images: largest probability difference from the Keras model"
        f"{' in float64' if check.get('reference') == 'float64' else ''} {check['max_probability_difference']:.1e} "
        f"(allowed {check['tolerance']:.0e}), same class on {check['agreement']:.0%}"
    )
    if gate is None:
        return fp32
    differences = f"largest relative difference of a distance {gate['max_distance_difference']:.2%}"
    if "median_heatmap_difference" in gate:
        differences += f", median of a heat map {gate['median_heatmap_difference']:.1%}"
    return (
        f"{fp32}. This file on {gate['n']} {gate['part']} images: accuracy {gate['accuracy']:.2%}, {gate['drop']:.2%} "
        f"below fp32 (allowed {gate['max_drop']:.2%}), largest probability difference "
        f"{gate['max_probability_difference']:.4f}, same class on {gate['agreement']:.1%}, Kullback-Leibler divergence "
        f"{gate['kl_divergence']:.1e}, {differences}"
    )


def _heatmap(contract: Contract) -> str:
    if contract.heatmap is None:
        return "none"
    return (
        "`heatmap`: float32 [batch, {height}, {width}], {method} of {layer}; value [i, j] lies over the {stride_px} x "
        "{stride_px} pixels from ({stride_px} i, {stride_px} j) on".format(**contract.heatmap)
    )


def _int8(contract: Contract) -> str:
    """The measured choice of calibration and float layers, as a section; empty for other precisions."""
    if contract.quantisation is None:
        return ""
    record = contract.quantisation
    methods = "\n".join(
        f"| {name} | {one['accuracy']:.2%} | {one['kl_divergence']:.1e} | {one['max_probability_difference']:.4f} |"
        for name, one in record["methods"].items()
    )
    candidates = "\n".join(
        f"| {', '.join(one['float_layers']) or 'none'} | {'-' if one['ms'] is None else format(one['ms'], '.2f')} | "
        f"{one['accuracy']:.2%} | {one['kl_divergence']:.1e} | {'passes' if one['passed'] else 'fails'} |"
        for one in record["candidates"]
    )
    return f"""## int8

Static QDQ, weights int8 per channel, activations uint8, calibrated by {record["method"]} on
{record["calibration_images"]} training images; on the validation part, all layers but the logits in int8:

| calibration | accuracy | KL divergence from fp32 | largest probability difference |
|---|---|---|---|
{methods}

In float: {", ".join(record["float_layers"]) or "none but the logits"}. Measured interleaved on the machine of the
export, batch 1, fp32 {record["fp32_ms"]:.2f} ms.

{_SAFE_ANYWHERE if record["weight_bits"] == 7 else _SAFE_WITH_ALLKIT}

| in float | ms | accuracy | KL divergence from fp32 | gate |
|---|---|---|---|---|
{candidates}

"""


def _share(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:.2%}, 95 % Wilson interval {figure['low']:.2%} to {figure['high']:.2%}"

"""One run to verified files, one per precision."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime

from allkit.charts.reliability import reliability_diagram
from allkit.errors import AllkitError
from allkit.exporting.heatmap import METHOD as HEATMAP_METHOD
from allkit.exporting.measure import in_batches, median_latencies, open_session, outputs
from allkit.exporting.options import ExportOptions
from allkit.exporting.precision import Variant, kernels_for, make_variant, with_heatmap
from allkit.exporting.prepare import Prepared, Say, prepare_run
from allkit.exporting.seal import embed, seal
from allkit.exporting.trained import in_float64, trained_outputs
from allkit.exporting.uncertainty import METHOD, QUANTILE, familiar_threshold
from allkit.exporting.verify import Verification, verify
from allkit.metrics import conformal_threshold, expected_calibration_error, proportion
from allkit.model.card import model_card
from allkit.model.contract import DISTANCE_NAME, HEATMAP_NAME, OUTPUT_NAME, Contract
from allkit.model.training_images import entry_digest
from allkit.runs.run import Run
from allkit.runtime.machine import processor
from allkit.runtime.session import Model, Output
from allkit.support.cpus import cores
from allkit.support.files import replacing, write_text


@dataclass(frozen=True)
class ExportedModel:
    """A file that passed, its model card and its contract. replaced: whether a file of that name was there before."""

    path: Path
    card: Path
    contract: Contract
    replaced: bool

    @property
    def milliseconds(self) -> float:
        """Median latency of one image on the machine of the export."""
        return self.contract.latency["ms"]


@dataclass(frozen=True)
class _Checked:
    """The float32 graph compared with the trained network: its outputs for the verification images, and the verdict."""

    output: Output
    verification: Verification


def export_run(
    run: Run, data: Path, out: Path, options: ExportOptions, say: Say
) -> dict[str, ExportedModel | AllkitError]:
    """Convert a finished run and write each precision that passes, with its card, into `out`.

    `data` is the folder of the images that the run was trained on; `say` is told what goes on. A precision that loses
    more than `max_drop` is an AllkitError in its place, and no file of its name is new. Raises AllkitError when the
    run is unfinished, its images are not there, or the graph does not agree with the trained network.
    """
    prepared = prepare_run(run, data, say)
    fp32 = _checked(prepared, options)
    if not fp32.verification.passed:
        raise AllkitError(
            f"{run.folder} is not exported: its graph does not agree with the Keras model: {fp32.verification}"
        )
    say(f"verified: {fp32.verification}")
    results: dict[str, ExportedModel | AllkitError] = {}
    variants: dict[str, Variant] = {}
    for precision in options.precisions:
        try:
            variants[precision] = make_variant(
                prepared, precision, options.heatmap, options.max_drop, options.seven_bit, say
            )
        except AllkitError as error:
            results[precision] = error
    if not variants:
        return results
    say("timing the files against fp32")
    protos = {"fp32": prepared.proto, **{precision: variant.proto for precision, variant in variants.items()}}
    taken = median_latencies(protos, prepared.validation.pixels, kernels_for(options.seven_bit))
    for precision in variants:
        latency = {"ms": taken[precision], "fp32_ms": taken["fp32"], "cores": cores(), "processor": processor()}
        try:
            results[precision] = _write(prepared, precision, variants[precision], fp32, latency, options, out)
        except AllkitError as error:
            results[precision] = error
    return {precision: results[precision] for precision in options.precisions}


def _write(
    prepared: Prepared,
    precision: str,
    variant: Variant,
    fp32: _Checked,
    latency: dict[str, Any],
    options: ExportOptions,
    out: Path,
) -> ExportedModel:
    settings, proto = prepared.run.settings, variant.proto
    path = out / f"{settings.name}-{precision}.onnx"
    replaced = path.exists()
    contract = replace(_draft(prepared, precision, variant, latency, options), verification=asdict(fp32.verification))
    with replacing(path) as temporary:
        embed(proto, contract, prepared.images)
        onnx.save(proto, temporary)
        # What follows is measured on the file itself, through the code that classifies.
        model = Model(temporary)
        if variant.gate is not None:
            contract = replace(contract, gate={**contract.gate, **_differences(prepared, model, fp32)})
        test = _run(model, prepared.test.pixels)
        measured = _measured(prepared, contract, _run(model, prepared.validation.pixels), test, options.coverage)
        contract = replace(contract, **measured)
        embed(proto, contract, prepared.images)
        onnx.save(proto, temporary)
        onnx.checker.check_model(str(temporary), full_check=True)
    diagram = reliability_diagram(prepared.predicted[1], test.probabilities, prepared.test.labels)
    diagram.save(path.with_suffix(".reliability.png"))
    card = path.with_suffix(".md")
    write_text(card, model_card(path, contract))
    return ExportedModel(path, card, contract, replaced)


def _checked(prepared: Prepared, options: ExportOptions) -> _Checked:
    """Validate the float32 graph against the trained network."""
    pixels = prepared.verification
    names = [OUTPUT_NAME, DISTANCE_NAME, *([HEATMAP_NAME] if options.heatmap else [])]
    got = outputs(open_session(with_heatmap(prepared, prepared.proto, options.heatmap)), names, pixels)

    def trained(model: keras.Model) -> tuple[np.ndarray, ...]:
        return trained_outputs(model, prepared.network, prepared.uncertainty, pixels, options.heatmap)

    expected = trained(prepared.model)
    verification = verify(expected, got)
    if not verification.passed:
        exact = trained(in_float64(prepared.model))
        verification = verify(exact, got, rounding=verify(exact, expected))
    return _Checked(Output(*got), verification)


def _differences(prepared: Prepared, model: Model, fp32: _Checked) -> dict[str, Any]:
    """Differences of distance and heat map between the file of a variant and float32, on the verification images."""
    _, distance, maps = fp32.output
    got = _run(model, prepared.verification, heatmaps=maps is not None)
    if not all(np.isfinite(values).all() for values in got if values is not None):
        raise AllkitError(f"{model.contract.precision} is not written, its outputs are not finite")
    record = {"max_distance_difference": float((np.abs(got.distance - distance) / np.maximum(distance, 1.0)).max())}
    if maps is not None:
        largest = np.maximum(np.abs(maps).max((1, 2)), np.finfo(np.float32).tiny)
        record["median_heatmap_difference"] = float(np.median(np.abs(got.heatmap - maps).max((1, 2)) / largest))
    return record


def _run(model: Model, pixels: np.ndarray, heatmaps: bool = False) -> Output:
    batches = [model.run(batch, heatmaps)[: 3 if heatmaps else 2] for batch in in_batches(pixels)]
    return Output(*(np.concatenate(column) for column in zip(*batches, strict=True)))


def _measured(
    prepared: Prepared, contract: Contract, validation: Output, test: Output, coverage: float
) -> dict[str, Any]:
    """The contract fields that follow from the file's outputs: thresholds on validation, accuracy on the test part."""
    right = test.probabilities.argmax(1) == prepared.test.labels
    labels = prepared.validation.labels
    return {
        "accuracy": {
            **contract.accuracy,
            **asdict(proportion(right, prepared.test.groups)),
        },
        "calibration": {
            **contract.calibration,
            "ece_after": expected_calibration_error(test.probabilities, prepared.test.labels),
        },
        "abstention": {
            **contract.abstention,
            "threshold": conformal_threshold(validation.probabilities, labels, coverage),
        },
        "familiarity": {
            **contract.familiarity,
            "threshold": familiar_threshold(validation.distance),
        },
    }


def _draft(
    prepared: Prepared, precision: str, variant: Variant, latency: dict[str, Any], options: ExportOptions
) -> Contract:
    """The contract before the file has been run."""
    run, network = prepared.run, prepared.network
    settings, record = run.settings, prepared.record
    labels, probabilities = prepared.predicted
    _, height, width = prepared.feature_shape
    # Thresholds, accuracy and calibration follow from the outputs of the file (`_measured`).
    fitted = {"threshold": 0.0, "n": len(prepared.validation.labels)}
    return Contract(
        classes=settings.classes,
        pixels=settings.pixels,
        architecture=settings.architecture,
        width=settings.width,
        precision=precision,
        recipe=settings.public()["recipe"],
        split=run.split.summary(),
        data_fingerprint=run.split.fingerprint,
        accuracy={"value": 0.0, "low": 0.0, "high": 1.0, "n": len(labels), "part": record["part"]},
        baseline=record["baseline"],
        verification={},
        temperature=prepared.uncertainty.temperature,
        calibration={
            "part": record["part"],
            "n": len(labels),
            "ece_before": expected_calibration_error(probabilities, labels),
            "ece_after": 0.0,
        },
        abstention={"method": "split conformal", "coverage": options.coverage, **fitted},
        familiarity={"method": METHOD.format(layer=network.distance_layer), "quantile": QUANTILE, **fitted},
        gate=variant.gate and variant.gate.to_dict(),
        quantisation=variant.quantisation,
        latency=latency,
        heatmap={
            "method": HEATMAP_METHOD,
            "layer": network.last_map,
            "height": height,
            "width": width,
            "stride_px": network.stride_px,
        }
        if options.heatmap
        else None,
        **seal(variant.proto),
        images_digest=entry_digest(prepared.images),
        versions={
            **record["versions"],
            **{name: version(name) for name in ("tf2onnx", "onnx")},
            "onnxruntime": onnxruntime.__version__,
        },
    )

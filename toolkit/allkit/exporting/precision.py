"""One float32 graph as fp16 and int8 variants, each through the gate; int8 layer by layer, by measurement.

A layer with few channels leaves the int8 kernels idle, and each change between int8 and float costs a conversion, so
which layers to leave in float is not known beforehand: candidates with the first few in float are timed on this
machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx

from allkit.errors import AllkitError
from allkit.exporting import gate, quantise
from allkit.exporting.gate import Gate
from allkit.exporting.half import halved
from allkit.exporting.heatmap import add_heatmap
from allkit.exporting.measure import median_latencies, open_session, outputs
from allkit.exporting.prepare import Prepared, Say
from allkit.model.contract import OUTPUT_NAME
from allkit.runtime.kernels import Kernels

# How many convolutions, counted from the input, stay in float in each candidate.
_FLOAT_FIRST = range(5)


@dataclass(frozen=True)
class Variant:
    """A graph that passed the gate.

    gate: None for float32 itself. quantisation: how int8 was chosen, for the record.
    """

    proto: onnx.ModelProto
    gate: Gate | None = None
    quantisation: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Candidate:
    float_layers: tuple[str, ...]
    proto: onnx.ModelProto
    gate: Gate

    def to_dict(self, milliseconds: float | None) -> dict[str, Any]:
        return {"float_layers": list(self.float_layers), "ms": milliseconds, **self.gate.to_dict()}


def make_variant(
    prepared: Prepared, precision: str, heatmap: bool, max_drop: float, seven_bit: bool, say: Say
) -> Variant:
    """The run's graph at precision fp32, fp16 or int8, with the heat map of a method if one is named.

    seven_bit: whether int8 weights have seven bits.

    Raises AllkitError with the result of the gate when it does not pass.
    """
    if precision == "int8":
        variant = _int8(prepared, max_drop, seven_bit, say)
        return replace(variant, proto=with_heatmap(prepared, variant.proto, heatmap))
    proto = with_heatmap(prepared, prepared.proto, heatmap)
    if precision == "fp32":
        return Variant(proto)
    half = halved(proto)
    return _passed(Variant(half, _judge(half, prepared, max_drop)), precision)


def with_heatmap(prepared: Prepared, proto: onnx.ModelProto, heatmap: bool) -> onnx.ModelProto:
    """A copy of one of the run's graphs, with the heat map of a method if one is named."""
    twin = onnx.ModelProto.FromString(proto.SerializeToString())
    if heatmap:
        add_heatmap(twin, prepared.network, prepared.feature_shape)
    return twin


def kernels_for(seven_bit: bool) -> Kernels | None:
    """The kernels that a session will use for an int8 file: sums of seven-bit products are exact with any."""
    return Kernels.FASTEST if seven_bit else None


def _int8(prepared: Prepared, max_drop: float, seven_bit: bool, say: Say) -> Variant:
    say(f"calibrating int8 on {len(prepared.calibration)} training images")
    calibrations = quantise.calibrate(prepared.proto, prepared.network, prepared.calibration)

    def candidate(method: str, float_layers: Sequence[str] = ()) -> _Candidate:
        proto = quantise.quantise(prepared.proto, prepared.network, calibrations[method], float_layers, seven_bit)
        return _Candidate(tuple(float_layers), proto, _judge(proto, prepared, max_drop))

    methods = {}
    for method in quantise.METHODS:
        methods[method] = candidate(method).gate
        say(f"{method}: {methods[method]}")
    # Not by accuracy: an image more or less is chance, and one that only int8 gets right is as much of an error.
    best = min(methods, key=lambda method: methods[method].kl_divergence)
    layers = quantise.layers(prepared.proto, prepared.network)
    tried = [candidate(best, layers[:count]) for count in _FLOAT_FIRST]
    if not any(found.gate.passed for found in tried):
        say("no candidate passes: leaving the layers that lose most accuracy in float")
        tried += _by_sensitivity(layers, lambda float_layers: candidate(best, float_layers))
    fit = [i for i, found in enumerate(tried) if found.gate.passed]
    say(f"timing {len(fit)} candidates against float32")
    protos = {"fp32": prepared.proto, **{str(i): tried[i].proto for i in fit}}
    taken = median_latencies(protos, prepared.validation.pixels, kernels_for(seven_bit))
    rows = [found.to_dict(taken.get(str(i))) for i, found in enumerate(tried)]
    for row in rows:
        say(_line(row))
    chosen = tried[min(fit, key=lambda i: taken[str(i)], default=-1)]
    record = {
        "calibration_images": len(prepared.calibration),
        "weight_bits": 7 if seven_bit else 8,
        "method": best,
        "methods": {method: result.to_dict() for method, result in methods.items()},
        "float_layers": list(chosen.float_layers),
        "fp32_ms": taken["fp32"],
        "candidates": rows,
    }
    return _passed(Variant(chosen.proto, chosen.gate, record), "int8")


def _by_sensitivity(layers: Sequence[str], candidate: Callable[[Sequence[str]], _Candidate]) -> list[_Candidate]:
    """Candidates with more and more layers in float, the most sensitive first, until one passes the gate."""
    ranked = sorted(layers, key=lambda layer: candidate([layer]).gate.kl_divergence)
    tried = []
    for count in range(1, len(layers)):
        tried.append(candidate(sorted(ranked[:count], key=layers.index)))
        if tried[-1].gate.passed:
            break
    return tried


def _passed(variant: Variant, precision: str) -> Variant:
    if not variant.gate.passed:
        raise AllkitError(
            f"{precision} is not written: it loses too much accuracy: {variant.gate}; --max-drop allows more"
        )
    return variant


def _judge(proto: onnx.ModelProto, prepared: Prepared, max_drop: float) -> Gate:
    (probabilities,) = outputs(open_session(proto), [OUTPUT_NAME], prepared.validation.pixels)
    return gate.check(prepared.reference, probabilities, prepared.validation.labels, max_drop)


def _line(row: dict[str, Any]) -> str:
    layers = ", ".join(row["float_layers"]) or "none"
    taken = "not timed" if row["ms"] is None else f"{row['ms']:.2f} ms"
    return f"in float: {layers}: {taken}, drop {row['drop']:.2%}, {'passes' if row['passed'] else 'fails'}"

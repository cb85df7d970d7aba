"""Which onnxruntime kernels run a model on the CPU, and whether the fastest int8 ones are exact on it.

Without VNNI, AVX2 and AVX-512 kernels add pairs of uint8 x int8 products in 16 bits, which saturate (onnxruntime issues
5849, 6004, 14642). onnxruntime does not report its kernels, and under emulation the CPU flags are those of the host.
The kernels are therefore tested with a graph of two nodes whose sums are known.
"""

from __future__ import annotations

import functools
from enum import Enum
from pathlib import Path

import numpy as np
import onnxruntime

from allkit.support.cpus import cores

# Made by tests/saturation.py: a MatMulInteger and a QLinearConv.
_PROBE = Path(__file__).with_name("saturation.onnx")
_DEPTH = 64


class Kernels(Enum):
    """FASTEST: onnxruntime's choice. PRECISE: integer sums that cannot saturate. UNOPTIMISED: the graph as written,
    node by node; operations between QuantizeLinear and DequantizeLinear are then computed in float32."""

    FASTEST = "fastest"
    PRECISE = "precise"
    UNOPTIMISED = "unoptimised"


def session_options(
    threads: int | None = None, kernels: Kernels = Kernels.FASTEST, shared: bool = False
) -> onnxruntime.SessionOptions:
    """Session options for the CPU.

    threads: number that compute a run, None for all cores. shared: other threads have work meanwhile, so waiting
    threads sleep instead of spinning.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors arrive as exceptions
    # By default onnxruntime starts one thread per processor, ignoring the quota of a container.
    options.intra_op_num_threads = threads or cores()
    if shared:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if kernels is not Kernels.FASTEST:
        options.add_session_config_entry("session.x64quantprecision", "1")
    if kernels is Kernels.UNOPTIMISED:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def exact_kernels() -> Kernels:
    """The fastest kernels whose int8 sums are exact on this processor."""
    return Kernels.PRECISE if saturates() else Kernels.FASTEST


@functools.cache
def saturates() -> bool:
    """Whether the fastest int8 kernels give wrong sums."""
    session = onnxruntime.InferenceSession(
        _PROBE.read_bytes(), session_options(1), providers=["CPUExecutionProvider"], enable_fallback=0
    )
    # The largest possible operands: each pair of products is 64,770, twice what 16 bits hold.
    ones = np.full((1, _DEPTH), 255, np.uint8)
    product, convolved = session.run(None, {"rows": ones, "image": ones.reshape(1, _DEPTH, 1, 1)})
    exact = _DEPTH * 255 * 127
    return bool((product != exact).any() or (convolved != 255).any())

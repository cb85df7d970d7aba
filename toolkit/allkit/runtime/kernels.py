"""Which kernels of onnxruntime compute a model on the CPU, and whether the fastest int8 ones are exact here.

Without VNNI, AVX2 and AVX-512 kernels add pairs of products of uint8 and int8 in 16 bits, which saturate
(onnxruntime issues 5849, 6004, 14642). onnxruntime does not tell which kernels it takes, and the flags that the system
shows are those of the host where the processor is emulated. So onnxruntime itself is asked: a graph of two nodes, whose
sums are known, shows what its kernels give.
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
    """FASTEST: onnxruntime's choice. PRECISE: integer sums that cannot saturate. UNOPTIMISED: the graph as it is
    written, node by node; what is between QuantizeLinear and DequantizeLinear is then computed in float32."""

    FASTEST = "fastest"
    PRECISE = "precise"
    UNOPTIMISED = "unoptimised"


def session_options(
    threads: int | None = None, kernels: Kernels = Kernels.FASTEST, shared: bool = False
) -> onnxruntime.SessionOptions:
    """Options of a session on the CPU.

    threads: how many compute a run, None for all cores. shared: other threads have work meanwhile, so that these sleep
    while they wait.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what matters arrives as an exception
    # By itself onnxruntime starts a thread for every processor, whatever the quota of a container says.
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
    """Whether the fastest int8 kernels give other sums than the integers have."""
    session = onnxruntime.InferenceSession(
        _PROBE.read_bytes(), session_options(1), providers=["CPUExecutionProvider"], enable_fallback=0
    )
    # The largest operands that there are: each pair of products is 64,770, twice what 16 bits hold.
    ones = np.full((1, _DEPTH), 255, np.uint8)
    product, convolved = session.run(None, {"rows": ones, "image": ones.reshape(1, _DEPTH, 1, 1)})
    exact = _DEPTH * 255 * 127
    return bool((product != exact).any() or (convolved != 255).any())

"""A model repository for NVIDIA Triton and KServe, from exported files.

For each file there are two models: one of its name, run by the onnxruntime backend on uint8 pixels, and one with
`-files` appended, whose Python backend turns encoded images into those pixels by allkit's own pixel path and asks the
first. https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from allkit.errors import AllkitError
from allkit.model.card import model_card
from allkit.model.contract import DISTANCE_NAME, HEATMAP_NAME, INPUT_NAME, OUTPUT_NAME, Contract
from allkit.model.file import read_model
from allkit.support.files import check_folder, make_folder, replacing, write_text

# Triton combines waiting requests up to this many images.
_MOST_IMAGES = 64

_BACKEND = Path(__file__).with_name("triton_backend.py")


def write_repository(models: Sequence[Path], folder: Path) -> list[str]:
    """Write both models of each file into `folder`; return their names.

    Raises AllkitError for a file whose name or integer sums Triton cannot be trusted with.
    """
    check_folder(folder)
    files = [(path.stem, path, read_model(path)) for path in models]
    for name, path, file in files:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise AllkitError(f"{name!r} is no name for a model of Triton: give the file letters, digits, _, . and -")
        if file.contract.can_saturate:
            raise AllkitError(
                f"{path.name} is not safe with Triton, which runs the fastest int8 kernels whether or not they are "
                "exact on the processor: export fp32 or fp16, or int8 with --seven-bit"
            )
    names = []
    for name, path, file in files:
        contract = file.contract
        shape = contract.pixels.size_px, contract.pixels.size_px, 3
        own = _input(INPUT_NAME, "UINT8", shape) + _outputs(contract) + _instances(contract)
        _write(folder / name, f'backend: "onnxruntime"\n{own}', contract, "model.onnx", path)
        parameters = {"model": name, "pixels": json.dumps(asdict(contract.pixels))}
        own = _input("file", "STRING", (1,)) + _outputs(contract) + _parameters(parameters)
        _write(folder / f"{name}-files", f'backend: "python"\n{own}', contract, "model.py", _BACKEND)
        write_text(folder / name / "card.md", model_card(path, contract))
        names += [name, f"{name}-files"]
    return names


def _write(folder: Path, configuration: str, contract: Contract, name: str, source: Path) -> None:
    make_folder(folder / "1")
    with replacing(folder / "1" / name) as temporary:
        shutil.copyfile(source, temporary)
    write_text(folder / "labels.txt", "".join(f"{label}\n" for label in contract.classes))
    # Last: a server that polls the folder must not find half of it.
    write_text(
        folder / "config.pbtxt",
        f"name: {json.dumps(folder.name)}\n{configuration}max_batch_size: {_MOST_IMAGES}\ndynamic_batching {{ }}\n",
    )


def _input(name: str, kind: str, shape: Sequence[int]) -> str:
    return f'input [ {{ name: "{name}" data_type: TYPE_{kind} dims: {list(shape)} }} ]\n'


def _outputs(contract: Contract) -> str:
    described = [
        f'name: "{OUTPUT_NAME}" data_type: TYPE_FP32 dims: [{len(contract.classes)}] label_filename: "labels.txt"',
        # One number an image, for which the graph has no axis and Triton must have one.
        f'name: "{DISTANCE_NAME}" data_type: TYPE_FP32 dims: [1] reshape {{ shape: [] }}',
    ]
    if contract.heatmap:
        height, width = contract.heatmap["height"], contract.heatmap["width"]
        described.append(f'name: "{HEATMAP_NAME}" data_type: TYPE_FP32 dims: [{height}, {width}]')
    return "output [ " + ",\n  ".join(f"{{ {one} }}" for one in described) + " ]\n"


def _instances(contract: Contract) -> str:
    # KIND_GPU would not load without a GPU; KIND_AUTO takes one where there is one. CUDA has no int8 kernels for these.
    return f"instance_group [ {{ kind: {'KIND_CPU' if contract.precision == 'int8' else 'KIND_AUTO'} }} ]\n"


def _parameters(values: dict[str, str]) -> str:
    entries = (f'{{ key: "{key}" value {{ string_value: {json.dumps(value)} }} }}' for key, value in values.items())
    # Decoding is for the CPU.
    return f"instance_group [ {{ kind: KIND_CPU }} ]\nparameters [ {', '.join(entries)} ]\n"

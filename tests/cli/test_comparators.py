"""Networks beside VGG, each from training to rows."""

import csv

import pytest
from click.testing import CliRunner

from allkit.cli.main import cli
from allkit.model.architecture import ARCHITECTURES
from allkit.runs.run import Run
from networks import each

pytestmark = pytest.mark.slow

# The least width that each network has.
WIDTHS = {"darknet19": 0.0625, "mobilenetv2": 0.35}


def invoke(*words):
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("name", each(name for name in ARCHITECTURES if "vgg" not in name))
def test_a_network_is_trained_exported_and_classifies(name, smears, tmp_path):
    run, width = tmp_path / "run", WIDTHS.get(name, 1)
    words = ["--recipe", "scratch", "--architecture", name, "--size", "64", "--width", width, "--split", "random"]
    invoke("train", "--data", smears, *words, "--epochs", "1", "--batch-size", "16", "--out", run)
    # After so little training int8 may lose anything.
    words = ["--precision", "fp32,int8", "--heatmap", "--max-drop", "1"]
    invoke("export", "--run", run, *words, "--out", tmp_path / "exported")
    paths, _, trained = Run.open(run).read_predictions()
    for precision in ("fp32", "int8"):
        file = tmp_path / "exported" / f"{name}x{width:g}-64-{precision}.onnx"
        told = invoke("classify", smears, "--model", file, "--device", "cpu", "--format", "csv")
        labels = {row["path"]: row["label"] for row in csv.DictReader(told.splitlines())}
        assert len(labels) == 48
        assert set(labels.values()) <= {"Dull", "Vivid"}
        if precision == "fp32":
            assert [labels[str(smears / path)] for path in paths] == [("Dull", "Vivid")[i] for i in trained.argmax(1)]

"""`allkit export`, `allkit inspect` and the heat maps of `allkit classify` on the command line."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from allkit import Classifier
from allkit.cli.main import cli
from allkit.errors import AllkitError
from allkit.exporting.options import ExportOptions
from allkit.model.card import model_card
from allkit.model.contract import METADATA_KEY
from allkit.model.graph import read_graph


def invoke(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def exported(finished_run, tmp_path_factory):
    """The folder and the result of an export of everything, beside a run that cannot be exported."""
    work = tmp_path_factory.mktemp("all")
    shutil.copytree(finished_run.folder, work / "runs" / "tiny")
    broken = work / "runs" / "broken"
    shutil.copytree(finished_run.folder, broken)
    (broken / "model.keras").write_bytes(b"no model")
    settings = json.loads((broken / "run.json").read_text())
    settings["width"] = 0.5
    (broken / "run.json").write_text(json.dumps(settings))
    words = ("export", "--all", "--runs", work / "runs", "--out", work / "out", "--heatmap", "--max-drop", 1)
    return work / "out", invoke(*words)


def test_all_makes_every_precision_of_every_run_and_does_not_stop_at_a_failure(exported):
    out, result = exported
    assert result.exit_code == 1
    assert {path.name for path in out.glob("*.onnx")} == {
        f"vgg16x0.0625-32-{precision}.onnx" for precision in ("fp32", "fp16", "int8")
    }
    rows = [line for line in result.stdout.splitlines() if "vgg16x" in line and "│" in line]
    assert len(rows) == 6
    assert sum("failed, see above" in row for row in rows) == 3
    assert result.stderr.count("cannot be loaded") == 3
    for heading in ("MiB", "GMAC", "parameters", "ms/image", "accuracy", "drop", "status"):
        assert heading in result.stdout


def test_of_several_runs_none_becomes_the_default(exported):
    out, result = exported
    assert not (out / "default").exists()
    assert f"the default of {out} is unchanged" in result.stdout


def test_the_fastest_file_of_one_run_becomes_the_default(finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "allkit.exporting.export.median_latencies", lambda protos, *_: {"fp32": 2.0, "fp16": 4.0, "int8": 1.0}
    )
    monkeypatch.chdir(tmp_path)
    words = ("export", "--run", finished_run.folder, "--max-drop", 1, "--precision")
    result = invoke(*words, "fp32,int8")
    assert "vgg16x0.0625-32-int8.onnx is the default of exported now" in result.stdout
    assert Classifier(device="cpu").model_path == Path("exported/vgg16x0.0625-32-int8.onnx")
    # The last export says, be its file slow or beside a faster one.
    assert invoke(*words, "fp16").exit_code == 0
    assert Classifier(device="cpu").model_path == Path("exported/vgg16x0.0625-32-fp16.onnx")


def test_a_precision_that_fails_gives_exit_status_1(finished_run, tmp_path, monkeypatch):
    from allkit.exporting import export as room

    def failing(prepared, precision, *rest):
        raise AllkitError(f"{precision} is not written, it loses too much")

    monkeypatch.setattr(room, "make_variant", failing)
    result = invoke("export", "--run", finished_run.folder, "--out", tmp_path, "--precision", "int8")
    assert result.exit_code == 1
    assert "failed: int8: int8 is not written" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--precision", "int4"), "'int4' is not one of fp32, fp16, int8"),
        (("--all", "--size", "32"), "--all takes every run"),
    ],
)
def test_wrong_usage_is_named(words, reason):
    result = invoke("export", *words)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_inspect_shows_contract_and_layers(exported):
    result = invoke("inspect", exported[0] / "vgg16x0.0625-32-int8.onnx")
    assert result.exit_code == 0
    for words in (
        "not for diagnosis",
        "block5_conv3",
        "int8",
        "QuantizeLinear",
        "hirescam",
        "heatmap: float32 [batch, 1, 1]",
    ):
        assert words in result.stdout


def test_inspect_as_json_is_one_object(exported):
    record = json.loads(invoke("inspect", exported[0] / "vgg16x0.0625-32-fp32.onnx", "--json").stdout)
    assert record["contract"]["precision"] == "fp32"
    layers = {layer["name"]: layer for layer in record["graph"]["layers"]}
    # 4 x 3 x 3 x 3 weights at 32 x 32 positions.
    assert layers["block1_conv1"]["macs"] == 108 * 1024
    assert record["graph"]["macs"] == sum(layer["macs"] for layer in layers.values())


def test_inspect_refuses_what_is_not_a_model_of_allkit(exported, tmp_path):
    data = (exported[0] / "vgg16x0.0625-32-fp32.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(AllkitError, match=r"cut\.onnx"):
        invoke("inspect", tmp_path / "cut.onnx")


def test_classify_draws_heat_maps(exported, smears, tmp_path):
    model = exported[0] / "vgg16x0.0625-32-int8.onnx"
    result = invoke("classify", smears / "Dull", "--model", model, "--device", "cpu", "--heatmaps", tmp_path / "maps")
    assert result.exit_code == 0
    drawn = sorted(path.name for path in (tmp_path / "maps").rglob("*.png"))
    assert len(drawn) == 25
    assert "contact-sheet.heatmap.png" in drawn


def test_classify_refuses_heat_maps_of_a_model_without_one(exported, smears, tmp_path):
    path = tmp_path / "plain.onnx"
    proto = onnx.load(exported[0] / "vgg16x0.0625-32-fp32.onnx")
    (entry,) = (entry for entry in proto.metadata_props if entry.key == METADATA_KEY)
    record = json.loads(entry.value)
    entry.value = json.dumps({**record, "heatmap": None, "known_answers": {**record["known_answers"], "heatmap": None}})
    onnx.save(proto, path)
    with pytest.raises(AllkitError, match="has no heat map: export it with --heatmap"):
        invoke("classify", smears, "--model", path, "--device", "cpu", "--heatmaps", tmp_path / "maps")


def test_an_architecture_that_leads_out_of_the_folder_writes_nothing(finished_run, tmp_path):
    run = tmp_path / "a" / "run"
    shutil.copytree(finished_run.folder, run)
    settings = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**settings, "architecture": "../../../b/evil"}))
    (tmp_path / "b").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AllkitError, match=r"run\.json is damaged.*architecture"):
        invoke("export", "--run", run, "--out", tmp_path / "a" / "out")
    with pytest.raises(AllkitError, match="no finished run"):
        invoke("export", "--all", "--runs", tmp_path / "a", "--out", tmp_path / "a" / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_texts_in_a_card_are_no_markup(exported, finished_run):
    path = next(exported[0].glob("*-fp32.onnx"))
    contract = read_graph(path)[1]
    evil = "<script>|[x](y)"
    card = model_card(
        path,
        replace(
            contract,
            classes=(evil, "B"),
            recipe={**contract.recipe, "weights": evil},
            latency={**contract.latency, "processor": evil},
            versions={"keras": evil},
            baseline={**contract.baseline, "method": evil},
            accuracy={**contract.accuracy, "part": evil},
            calibration={**contract.calibration, "part": evil},
            split={**contract.split, "protocol": evil, "parameters": {evil: evil}},
        ),
    )
    assert "<script" not in card
    assert "](y" not in card
    for line in card.splitlines():
        if line.startswith("| ") and "script" in line:
            assert len(re.split(r"(?<!\\)\|", line)) == 4


def test_a_model_repository_of_the_files_that_are_safe(finished_run, tmp_path):
    words = ("export", "--run", finished_run.folder, "--out", tmp_path / "out", "--triton", tmp_path / "repository")
    result = invoke(*words, "--precision", "fp32,int8", "--max-drop", 1)
    assert result.exit_code == 0
    made = {path.name for path in (tmp_path / "repository").iterdir()}
    assert made == {"vgg16x0.0625-32-fp32", "vgg16x0.0625-32-fp32-files"}
    assert "holds vgg16x0.0625-32-fp32, vgg16x0.0625-32-fp32-files" in result.stdout
    again = invoke("export", "--model", tmp_path / "out" / "vgg16x0.0625-32-fp32.onnx", "--triton", tmp_path / "other")
    assert again.exit_code == 0
    assert {path.name for path in (tmp_path / "other").iterdir()} == made


def test_a_model_is_taken_for_a_repository_alone(exported):
    result = invoke("export", "--model", exported[0] / "vgg16x0.0625-32-fp32.onnx")
    assert result.exit_code == 2
    assert "--model is for --triton" in result.stderr
    with pytest.raises(AllkitError, match="seven-bit"):
        ExportOptions(["run"], precisions=["int8"], triton="repository")


def test_export_of_a_size_without_a_run_names_those_there_are(finished_run):
    with pytest.raises(AllkitError, match="runs at 32 px"):
        invoke("export", "--runs", finished_run.folder.parent, "--size", 200)
    with pytest.raises(AllkitError, match="trained at 32 px, not 64"):
        invoke("export", "--run", finished_run.folder, "--size", 64)

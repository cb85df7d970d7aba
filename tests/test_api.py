"""The calls that `import allkit` offers give what the commands print."""

import json

import pytest
from click.testing import CliRunner

import allkit
from allkit.cli.main import cli
from models import tiny_model


def test_every_name_that_is_offered_is_there():
    for name in allkit.__all__:
        assert getattr(allkit, name).__doc__ or name == "RECIPES" or isinstance(getattr(allkit, name), str)


@pytest.fixture(scope="module")
def model(finished_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("api")
    result = allkit.export(allkit.ExportOptions([finished_run.folder], out, precisions=["fp32"]))
    ((_, precision, written),) = result.rows
    assert (precision, result.failed, result.default) == ("fp32", False, written.path)
    assert result.to_dict()["files"] == [
        {
            "run": str(finished_run.folder),
            "precision": "fp32",
            "file": str(written.path),
            "card": str(written.path.with_suffix(".md")),
        }
    ]
    return written.path


def test_an_evaluation_is_what_the_command_prints(model, smears):
    result = allkit.evaluate(allkit.EvaluateOptions([model], smears, shift=True, device="cpu"))
    words = ["evaluate", str(model), "--data", str(smears), "--shift", "--json", "--device", "cpu"]
    assert result.to_dict() == json.loads(CliRunner().invoke(cli, words).stdout)


def test_an_audit_is_what_the_command_prints(smears):
    printed = CliRunner().invoke(cli, ["data", "audit", str(smears), "--json"]).stdout
    assert json.loads(json.dumps(allkit.audit(allkit.AuditOptions(smears)).to_dict())) == json.loads(printed)


def test_a_benchmark_has_figures_for_every_model(tmp_path):
    model = tiny_model(tmp_path / "tiny.onnx")
    result = allkit.bench(allkit.BenchOptions([model], device="cpu", seconds=0.01, queries=2, rounds=2))
    (row,) = result.figures
    assert (row.model, row.failed) == ("tiny.onnx", False)
    assert row.milliseconds > 0
    assert result.to_dict()["settings"]["queries"] == 2


def test_a_precision_that_is_none_is_refused():
    with pytest.raises(allkit.AllkitError, match="no precision 'int4'"):
        allkit.ExportOptions(["run"], precisions=["int4"])

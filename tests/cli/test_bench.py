"""`allkit bench` on a trained model and a file that is none."""

import csv
import json

import pytest
from click.testing import CliRunner

from allkit.cli.main import cli
from allkit.errors import AllkitError
from models import tiny_model
from records import record, row

QUICK = ["--seconds", "0", "--queries", "4", "--rounds", "2", "--device", "cpu"]


def invoke(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def exported(finished_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "exported"
    made = invoke("export", "--run", finished_run.folder, "--out", out, "--max-drop", 1)
    assert made.exit_code == 0, made.output
    (out / "vgg16x9-broken.onnx").write_bytes(b"none")
    return out


@pytest.fixture(scope="module")
def measured(exported, smears, tmp_path_factory):
    """Every model of exported/, with all files that bench writes; returns the result and their folder."""
    out = tmp_path_factory.mktemp("measured")
    files = [f"--{kind}={out / f'bench.{kind}'}" for kind in ("json", "csv", "markdown")]
    files += [f"--report={out / 'bench.html'}", f"--plot={out / 'bench.svg'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(exported.parent)
        return invoke("bench", "--data", smears, *QUICK, *files), out


def test_a_row_for_every_model_and_status_one_where_one_failed(measured):
    result, out = measured
    assert result.exit_code == 1
    rows = list(csv.DictReader((out / "bench.csv").open()))
    assert [row["model"] for row in rows] == [
        "vgg16x0.0625-32-fp32.onnx",
        "vgg16x0.0625-32-int8.onnx",
        "vgg16x9-broken.onnx",
    ]
    assert "cannot be read as an ONNX model" in rows[2]["status"]
    for figure in ("model_ms_p50", "end_to_end_ms_p50", "start_s", "load_s", "first_run_s", "accuracy_value"):
        assert float(rows[0][figure]) > 0
    assert float(rows[0]["start_s"]) > float(rows[0]["load_s"]) + float(rows[0]["first_run_s"])
    assert rows[0]["end_to_end_ms_p90"] == ""
    assert rows[1]["p_value"] != ""


def test_the_accuracy_is_that_of_the_run_on_its_own_test_part(measured, finished_run):
    _, out = measured
    found = json.loads((out / "bench.json").read_text())["rows"][0]["accuracy"]
    of_run = json.loads((finished_run.folder / "metrics.json").read_text())["metrics"]
    assert found["metrics"]["n"] == of_run["n"]
    assert found["metrics"]["accuracy"] == of_run["accuracy"]
    assert found["seen_in_training"] == "no"


def test_all_samples_are_in_the_record(measured):
    _, out = measured
    found = json.loads((out / "bench.json").read_text())["rows"][0]
    assert [len(times) for times in found["single"]["end_to_end_ms"]] == [2, 2]
    assert all(len(rates) == 1 for rounds in found["offline"].values() for rates in rounds)


def test_the_other_files_show_the_same_models(measured):
    _, out = measured
    for name in ("bench.markdown", "bench.html"):
        assert "vgg16x0.0625-32-int8" in (out / name).read_text()
    assert "x0.0625 int8" in (out / "bench.svg").read_text()


def test_without_a_dataset_the_queries_are_synthetic_and_accuracy_is_missing(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = exported / "vgg16x0.0625-32-fp32.onnx"
    result = invoke("bench", model, *QUICK, "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    assert "synthetic smears, no accuracy" in result.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["data"] == {"kind": "synthetic smears", "files": 128}
    assert "accuracy" not in found["rows"][0]


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_dataset_that_was_named_must_be_there(exported, tmp_path, monkeypatch, by):
    words = ["bench", exported / "vgg16x0.0625-32-fp32.onnx", *QUICK]
    if by == "option":
        words += ["--data", tmp_path / "typo"]
    else:
        monkeypatch.setenv("ALLKIT_DATA", str(tmp_path / "typo"))
    with pytest.raises(AllkitError, match="typo is not a folder: give --data DIR"):
        invoke(*words)


def saved(path, *rows):
    path.write_text(json.dumps(record(*rows)))
    return path


def test_a_budget_names_one_model_and_a_status_tells_when_none_fits(tmp_path):
    source = saved(tmp_path / "r.json", row("a.onnx", 4.0), row("b.onnx", 1.0, range(50)))
    result = invoke("bench", "--from", source, "--budget-ms", 2)
    assert (result.exit_code, result.stdout.splitlines()[-1][:21]) == (0, "Recommended: b.onnx: ")
    result = invoke("bench", "--from", source, "--budget-ms", 100, "--margin", 50)
    assert result.exit_code == 0
    result = invoke("bench", "--from", source, "--min-accuracy", 0.9, "--budget-ms", 0.1)
    assert result.exit_code == 1
    assert "No model fits the budget" in result.stdout


def test_every_form_of_a_benchmark_names_the_recommended_model(tmp_path):
    source = saved(tmp_path / "r.json", row("a.onnx", 4.0), row("b.onnx", 1.0, range(50)))
    names = {option: tmp_path / f"bench.{option}" for option in ("csv", "markdown", "report", "json")}
    files = [word for option, path in names.items() for word in (f"--{option}", path)]
    assert "\nRecommended: a.onnx: " in invoke("bench", "--from", source, *files).stdout
    assert json.loads(names["json"].read_text())["recommendation"]["model"] == "a.onnx"
    assert [line[-1] for line in names["csv"].read_text().splitlines()[1:]] == ["1", "0"]
    for option in ("markdown", "report"):
        assert "Recommended: a.onnx: " in names[option].read_text()


def test_a_record_on_stdout_takes_the_place_of_the_table(tmp_path):
    source = saved(tmp_path / "r.json", row("a.onnx", 4.0))
    found = json.loads(invoke("bench", "--from", source, "--json").stdout)
    assert found["rows"][0]["model"] == "a.onnx"


def test_a_busy_machine_is_told_before_measuring(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("psutil.getloadavg", lambda: (1000.0, 0.0, 0.0))
    result = invoke("bench", exported / "vgg16x0.0625-32-fp32.onnx", *QUICK)
    assert "warning: the machine is busy (load 1000.0" in result.stderr


def test_two_records_are_compared(tmp_path):
    first, second = saved(tmp_path / "a.json", row("a.onnx", 4.0)), saved(tmp_path / "b.json", row("a.onnx", 8.0))
    result = invoke("bench", "--compare", first, second)
    assert result.exit_code == 0
    assert "2.000" in result.stdout
    assert "significant" in result.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--from", "r.json", "a.onnx"], "leave out the models"),
        (["--compare", "a.json", "b.json", "a.onnx"], "leave out the models"),
        (["--compare", "a.json", "b.json", "--budget-ms", "1"], "leave out the models, files and budgets"),
        (["--rounds", "1"], "2<=x<=20"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(words, reason):
    result = invoke("bench", *words)
    assert result.exit_code == 2
    assert reason in result.output


def test_a_picture_needs_a_known_suffix(tmp_path):
    source = saved(tmp_path / "r.json", row("a.onnx", 4.0))
    with pytest.raises(AllkitError, match=r"ends in \.svg or \.png"):
        invoke("bench", "--from", source, "--plot", tmp_path / "p.jpg")


def test_help_shows_examples():
    assert "allkit bench --budget-ms 5" in invoke("bench", "--help").output


def test_without_any_model_bench_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("allkit.runtime.default_model.SHIPPED_FOLDER", tmp_path)
    with pytest.raises(AllkitError, match="allkit export`"):
        invoke("bench", *QUICK)


def test_where_every_model_fails_the_table_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.onnx").write_bytes(b"none")
    result = invoke("bench", tmp_path / "broken.onnx", *QUICK)
    assert result.exit_code == 1
    assert "broken.onnx: " in result.stdout
    assert "failed" in result.stdout


def test_no_model_record_or_image_is_replaced_by_a_result(tmp_path, smears):
    model, image = tiny_model(tmp_path / "tiny.onnx"), next(smears.glob("*/*.png"))
    source = saved(tmp_path / "r.json", row("a.onnx", 4.0))
    for words in (
        ["bench", model, "--data", tmp_path / "nowhere", "--json", model],
        ["bench", model, "--data", smears, "--csv", image],
        ["bench", "--from", source, "--markdown", source],
        ["report", tmp_path, "--markdown", model],
        ["report", source, "--html", source],
        ["inspect", model, "--json", model],
        ["inspect", model, "--check", "--json", model],
        ["evaluate", model, "--data", smears, "--json", model],
        ["evaluate", model, "--data", smears, "--split", source, "--report", source],
        ["data", "audit", smears, "--json", image],
        ["data", "audit", smears, "--html", image],
    ):
        before = [path.read_bytes() for path in (model, image, source)]
        with pytest.raises(AllkitError, match="which is an input; give another name"):
            invoke(*words)
        assert [path.read_bytes() for path in (model, image, source)] == before
    with pytest.raises(AllkitError, match=r"files named \.onnx are models or images"):
        invoke("bench", model, "--data", smears, "--csv", tmp_path / "another.onnx")


def test_the_default_table_fits_80_columns_and_wide_shows_all(tmp_path):
    source = saved(tmp_path / "r.json", row("vgg16x0.125-150-int8.onnx", 4.0), row("b.onnx", 1.0, range(50)))
    table = invoke("bench", "--from", source).stdout.split("front:")[0]
    assert max(map(len, table.rstrip().splitlines())) <= 80
    assert "vgg16x0.125-150-int8" in table
    assert "GMAC" not in table
    assert "GMAC" in invoke("bench", "--from", source, "--wide").stdout

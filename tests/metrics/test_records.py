"""Records that commands have written are read back; those that nothing writes are refused."""

import copy
import json
import os
import runpy
import shutil
import tempfile
from pathlib import Path

import pytest

from allkit.benchmark.record.choose import Budget, recommend
from allkit.benchmark.record.record import as_csv, as_markdown, load
from allkit.data.split import Split
from allkit.errors import AllkitError
from allkit.report.sources import gather
from allkit.runs.record import TrainingRecord
from allkit.support.files import content_hash
from allkit.support.reading import as_plain, parse_json, read_json
from records import record, row

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def kinds() -> dict[str, list[Path]]:
    found = {"training": [], "evaluation": []}
    for path in sorted(RESULTS.rglob("*.json")):
        whole = json.loads(path.read_text())
        if isinstance(whole, dict) and "settings" in whole and "metrics" in whole:
            found["training"].append(path)
        elif isinstance(whole, dict) and whole.keys() & {"seen_in_training", "evaluations"}:
            found["evaluation"].append(path)
    return found


KINDS = kinds()


def test_there_are_records_of_every_kind():
    assert len(KINDS["training"]) > 20
    assert len(KINDS["evaluation"]) > 10


@pytest.mark.parametrize("path", KINDS["training"], ids=lambda path: path.stem)
def test_a_committed_record_of_a_training_is_read_and_nothing_of_it_is_lost(path):
    (found,) = gather([path]).trainings
    whole = json.loads(path.read_text())
    # A rule that had one value is no longer one.
    whole["settings"]["pixels"].pop("aspect", None)
    assert found.record == whole
    assert found.width == whole["settings"]["width"]
    assert as_plain(read_json(path, TrainingRecord, "fix it")) == whole


@pytest.mark.parametrize("path", KINDS["evaluation"], ids=lambda path: path.stem)
def test_a_committed_record_of_an_evaluation_is_read(path, tmp_path):
    whole = json.loads(path.read_text())
    for one in whole.get("evaluations", [whole]):
        # As if it were of a model that is there: the report shows what the record says.
        model = shutil.copy(ROOT / "exported" / "vgg16x0.125-112-int8.onnx", tmp_path / "model.onnx")
        record_of_it = tmp_path / "record.json"
        record_of_it.write_text(json.dumps({**one, "sha256": content_hash(model)}))
        (found,) = gather([model, record_of_it]).models
        assert found.evaluation["metrics"] == one["metrics"]
        assert [shift["accuracy"]["value"] for shift in found.evaluation.get("shifts", {"rows": []})["rows"]] == [
            shift["accuracy"]["value"] for shift in one.get("shifts", {"rows": []})["rows"]
        ]


@pytest.mark.parametrize("model", sorted((ROOT / "exported").glob("*.onnx")), ids=lambda path: path.stem)
def test_the_committed_evaluation_of_a_model_is_of_the_very_file(model):
    found = json.loads((RESULTS / f"{model.stem}-evaluate.json").read_text())
    assert found["sha256"] == content_hash(model), "benchmarks/family.sh makes it anew"
    # What the shifts are compared with is the accuracy of the record.
    assert found["shifts"]["rows"][0]["accuracy"] == found["metrics"]["accuracy"]


def test_the_committed_benchmark_gives_the_committed_tables():
    found = load(RESULTS / "bench.json")
    told = json.loads((RESULTS / "bench.json").read_text())
    told.pop("recommendation", None)
    assert found == told
    chosen = recommend(found, Budget())
    assert as_markdown(found, chosen.sentence) == (RESULTS / "bench.md").read_text()
    assert as_csv(found, chosen.model) == (RESULTS / "bench.csv").read_text()


def changed(*path_and_value):
    """A good record with one field replaced, or without it where the value is `...`."""
    *path, key, value = path_and_value
    whole = copy.deepcopy(record(row("a.onnx", 4.0), row("b.onnx", 1.0)))
    place = whole
    for step in path:
        place = place[step]
    if value is ...:
        del place[key]
    else:
        place[key] = value
    return whole


@pytest.mark.parametrize(
    "whole",
    [
        changed("rows", 0, "model", 7),
        changed("rows", 0, "model", "b.onnx"),
        changed("rows", 0, "single", ...),
        changed("rows", 0, "single", "model_ms", [[]]),
        changed("rows", 0, "single", "model_ms", [[0.0]]),
        changed("rows", 0, "single", "model_ms", [[-1.0]]),
        changed("rows", 0, "single", "model_ms", [["1"]]),
        changed("rows", 0, "single", "end_to_end_ms", [[1.0]] * 21),
        changed("rows", 0, "offline", {"eight": [[1.0]]}),
        changed("rows", 0, "offline", {"0": [[1.0]]}),
        changed("rows", 0, "offline", {"8": [[0]]}),
        changed("rows", 0, "width", -1),
        changed("rows", 0, "width", None),
        changed("rows", 0, "gmac", 10**400),
        changed("rows", 0, "mib", "4"),
        changed("rows", 0, "provider", ...),
        changed("rows", 0, "error", ""),
        changed("rows", 0, "accuracy", "seen_in_training", "perhaps"),
        changed("rows", 0, "accuracy", "wrong", [0]),
        changed("rows", 0, "accuracy", "wrong", [200]),
        changed("rows", 0, "accuracy", "metrics", "n", 0),
        changed("rows", 0, "accuracy", "metrics", "n", 100),
        changed("rows", 0, "accuracy", "metrics", "accuracy", "low", 1.5),
        changed("rows", 0, "accuracy", "metrics", "confusion", [[200]]),
        changed("rows", 0, "accuracy", "metrics", "per_class", {}),
        changed("rows", 0, "accuracy", "baseline", "method", ...),
        changed("rows", 0, "against_parent", {"parent": "b.onnx", "difference": 2, "p_value": 0.5}),
        changed("machine", "libraries", None),
        changed("machine", "cores", 0),
        changed("machine", "peak_gops", {"fp32": 0}),
        changed("settings", "rounds", 10**9),
        changed("settings", "seconds", True),
        changed("data", "files", -1),
        changed("time", None),
        changed("rows", {}),
        changed("rows", 0, None),
        changed("schema_version", "1"),
    ],
)
def test_a_benchmark_that_nothing_writes_is_refused_with_the_field_at_fault(tmp_path, whole):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(whole))
    with pytest.raises(AllkitError, match=r"r\.json is not readable \(.+\): it is not a record of `allkit bench`"):
        load(path)


def test_a_benchmark_as_it_is_passes(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(changed("rows", 0, "notice", None)))
    assert len(load(path)["rows"]) == 2


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a": ' * 100_000,
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        "",
        "\0",
        "9" * 10_000,
    ],
)
def test_what_is_no_json_or_too_deep_is_one_error(text):
    with pytest.raises(AllkitError, match=r"a thing is not readable \(.+\): mend it"):
        parse_json(text, dict[str, float], "a thing", "mend it")


def test_what_is_no_file_is_one_error_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("gone", "fifo", ".", "a\0b", "x" * 300):
        with pytest.raises(AllkitError, match=r"cannot read .*mend it"):
            read_json(tmp_path / name, dict, "mend it")


def fuzz(tmp_path, readers, count) -> object:
    """What the fuzz script finds with these readers in place of its own, from kind to reader."""
    script = runpy.run_path(str(ROOT / "benchmarks" / "fuzz" / "records.py"))
    script["write_run"](tmp_path / "whole")
    every = [task for task in script["tasks"](tmp_path / "whole") if task.kind in readers]
    found = script["Fuzz"](tmp_path / "whole", [task._replace(reader=readers[task.kind]) for task in every], 0)
    for _ in range(count):
        found.once()
    return found


def test_the_fuzz_script_finds_a_careless_reader_and_none_in_allkit(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # Where a script finds what lies beside it.
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "fuzz")
    careless = fuzz(tmp_path / "a", {"split": lambda path: json.loads(path.read_text())["hash"]}, 30)
    assert any("JSONDecodeError" in fault for fault in careless.faults)
    careful = fuzz(tmp_path / "b", {"split": Split.load, "bench": load}, 60)
    assert not careful.faults
    assert careful.refused["split"] > 10
    assert careful.refused["bench"] > 10
    assert sum(careful.read.values()) + sum(careful.refused.values()) == 60

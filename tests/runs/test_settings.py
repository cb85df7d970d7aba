import json

import pytest

from allkit.errors import AllkitError
from allkit.runs.run import Run
from run_folders import make


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "../../../b/evil"},
        {"architecture": 7},
        {"classes": ["A", "A"]},
        {"classes": ["A", "path"]},
        {"classes": ["A", "\x1b[2J"]},
        {"classes": ["A"]},
        {"classes": "AB"},
        {"width": 0},
        {"width": 1e9},
        {"width": "0.25"},
        {"seed": -1},
        {"data": "a\x00b"},
        {"data": None},
        {"pixels": {"size_px": 4096}},
        {"pixels": {"size_px": "64"}},
        {"pixels": {"size_px": 64, "shrink": "none"}},
        {"pixels": 64},
        {"recipe": {}, "width": None},
        {"recipe": {"epochs": "3"}},
        {"recipe": {"weights": "a\nb"}},
        {"recipe": {"name": "`<script>"}},
        {"recipe": {"unknown": 1}},
        {"recipe": []},
    ],
    ids=str,
)
def test_settings_that_no_training_has_are_refused(tmp_path, change):
    path = make(tmp_path / "run").folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(AllkitError, match=r"run\.json is damaged") as caught:
        Run.open(path.parent)
    assert str(caught.value).isprintable()


def test_a_run_that_was_taught_is_refused(tmp_path):
    run = make(tmp_path / "run")
    path = run.folder / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "recipe": {**record["recipe"], "teacher": [], "teacher_views": 32}}))
    assert Run.open(run.folder).settings == run.settings
    path.write_text(json.dumps({**record, "recipe": {**record["recipe"], "teacher": ["runs/wide"]}}))
    with pytest.raises(AllkitError, match="was trained with teachers, which this version does not know"):
        Run.open(run.folder)


def test_numbers_that_are_no_json_and_missing_settings_are_refused(tmp_path):
    path = make(tmp_path / "run").folder / "run.json"
    text = path.read_text()
    for changed in (text.replace("0.25", "NaN"), text.replace("0.25", "1" + 400 * "0"), text[:50], "[" * 100_000, "[]"):
        path.write_text(changed)
        with pytest.raises(AllkitError, match=r"run\.json"):
            Run.open(path.parent)
    for name in ("architecture", "pixels", "width", "seed", "recipe", "classes", "data"):
        record = json.loads(text)
        del record[name]
        path.write_text(json.dumps(record))
        with pytest.raises(AllkitError, match=name):
            Run.open(path.parent)

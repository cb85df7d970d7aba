"""`benchmarks/comparators.py`: what it makes of the records of methods."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import msgspec
import pytest

from records import record, row

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "comparators.py"
PATHS = [f"{i}.jpg" for i in range(50)]


@pytest.fixture
def whole(monkeypatch):
    """The script as it is."""
    spec = spec_from_file_location("comparators", SCRIPT)
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "comparators", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def script(whole, monkeypatch, tmp_path):
    """The script, with two networks and the records of a folder of its own."""
    monkeypatch.setattr(whole, "RECORDS", tmp_path)
    monkeypatch.setattr(whole, "METHODS", (whole.Method("small", "Small"), whole.Method("deep", "Deep")))
    return whole


def write(path, rows, wrong, folds=(), training="none"):
    """A record of some images in groups of two, of which those that are `wrong` are mistaken, and its predictions."""
    record = {
        "training": training,
        "size_px": 8,
        "parameters": 3,
        "folds": [{"n": {"test": count}} for count in folds],
        "predictions": {
            "path": [PATHS[i] for i in rows],
            "group": [i // 2 for i in rows],
            "truth": [0] * len(rows),
            "predicted": [int(i in wrong) for i in rows],
        },
    }
    path.write_text(json.dumps(record))


def test_a_method_of_two_folds_is_compared_on_these(script, tmp_path):
    write(tmp_path / "small-random.json", range(10), {3})
    write(tmp_path / "small-grouped.json", range(50), {0, 21, 22, 23, 35}, folds=(10,) * 5)
    write(tmp_path / "deep-fold-3.json", range(20, 30), {20, 21})
    write(tmp_path / "deep-fold-4.json", range(30, 40), ())
    found = script.compared()
    small, deep = found.methods
    assert (small.random.n, small.grouped.n, small.hardest.n) == (10, 50, 20)
    assert (small.grouped.accuracy.value, small.hardest.accuracy.value) == pytest.approx((45 / 50, 16 / 20))
    assert (deep.random, deep.grouped, deep.hardest.accuracy.value) == (None, None, 18 / 20)
    (pair,) = found.pairs
    assert (pair.images, pair.n, pair.groups) == ("folds 3 and 4", 20, 10)
    assert (pair.only_first_right, pair.only_second_right) == (1, 3)


@pytest.mark.parametrize("others", [range(1, 11), range(8)])
def test_methods_that_were_tested_on_other_images_are_not_compared(others, script, tmp_path):
    write(tmp_path / "small-random.json", range(10), {3})
    write(tmp_path / "deep-random.json", others, {3})
    with pytest.raises(ValueError, match="Small and Deep were tested on other images of the random split"):
        script.compared()


def test_p_values_are_adjusted_over_the_pairs_of_the_same_images(script, tmp_path, monkeypatch):
    names = ("small", "deep", "third")
    monkeypatch.setattr(script, "METHODS", tuple(script.Method(name, name) for name in names))
    for name, wrong in zip(names, ((), range(0, 20, 2), (3,)), strict=True):
        write(tmp_path / f"{name}-random.json", range(20), wrong)
    found = {(pair.first, pair.second): pair.p_value for pair in script.compared().pairs}
    # Ten groups all to one side: 2 / 2^10, of three; and nine of ten against one that is even: 2 / 2^9, of two.
    assert found["small", "deep"] == pytest.approx(3 * 2 / 2**10)
    assert found["small", "third"] == 1.0


def test_records_of_different_trainings_are_no_method(script, tmp_path):
    write(tmp_path / "small-random.json", range(10), {3}, training="3 epochs")
    write(tmp_path / "small-grouped.json", range(50), {3}, folds=(10,) * 5, training="9 epochs")
    with pytest.raises(ValueError, match="the records of small are of different trainings"):
        script.compared()


@pytest.mark.parametrize(("for_speed", "accuracy"), [(False, 0.98), (True, None)])
def test_speeds_are_those_of_its_files(for_speed, accuracy, script, tmp_path, monkeypatch):
    method = script.Method("small", "Small", "small-112", for_speed=for_speed)
    monkeypatch.setattr(script, "METHODS", (method,))
    write(tmp_path / "small-random.json", range(10), {3})
    rows = (
        row("small-112-fp32.onnx", 4.0, range(4)),
        row("small-112-int8.onnx", 1.0, precision="int8"),
        row("x.onnx", 9),
    )
    (tmp_path / "bench.json").write_text(json.dumps(record(*rows)))
    (found,) = script.compared().methods
    assert found.gmac == 0.4
    assert {name: (file.ms, file.end_to_end_ms) for name, file in found.speed.items()} == {
        "fp32": (2.0, 4.0),
        "int8": (0.5, 1.0),
    }
    share = found.speed["fp32"].accuracy
    assert (share and share.value) == accuracy


def test_the_record_of_a_training_is_read(script):
    whole = json.loads((SCRIPT.parent / "results" / "paper" / "imagenet-150.json").read_text())
    assert script.learnt(whole) == {
        "training": "ImageNet weights, 25 epochs",
        "size_px": 150,
        "parameters": whole["parameters"],
    }


def test_tables_are_put_at_their_mark(script, tmp_path):
    write(tmp_path / "small-random.json", range(10), {3})
    page = tmp_path / "results.md"
    page.write_text("before\n<!-- comparators -->\nstale\n<!-- /comparators -->\nafter\n")
    for _ in range(2):
        script.write_docs(script.compared(), page)
        before, *_, after = page.read_text().splitlines()
        assert (before, after) == ("before", "after")
        assert "stale" not in page.read_text()
        assert page.read_text().count("| Small |") == 2


def test_a_method_that_was_not_measured_has_what_its_paper_says(script, tmp_path, monkeypatch):
    write(tmp_path / "small-random.json", range(10), {3})
    monkeypatch.setattr(script, "CITED", {"deep": (("Somebody 2020", 99.0, True),)})
    deep = script.compared().methods[1]
    assert str(deep.copied[0]) == "> 99 (Somebody 2020)"
    assert (deep.training, deep.random, deep.grouped, deep.hardest, deep.speed) == (None, None, None, None, {})


def test_the_committed_record_is_what_the_script_makes_of_the_committed_parts(whole):
    committed = json.loads((SCRIPT.parent / "results" / "comparators.json").read_text())
    # Sums of floats may end differently on another processor.
    for made, kept in zip(msgspec.to_builtins(whole.compared())["methods"], committed["methods"], strict=True):
        assert (made["name"], made["parameters"]) == (kept["name"], kept["parameters"])
        for part in ("random", "grouped", "hardest"):
            assert (made[part] or {}).get("accuracy") == pytest.approx((kept[part] or {}).get("accuracy"))

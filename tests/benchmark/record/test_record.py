import csv
import io
import json
import subprocess
import sys

import pytest

from allkit.benchmark.record.record import as_csv, as_markdown, figures, load, pareto
from allkit.errors import AllkitError
from records import record, row, save

FAILED = {"model": "broken.onnx", "error": "cannot be loaded", "against_parent": None}


def test_figures_follow_from_the_samples():
    (found,) = figures(record(row("a.onnx", 4.0, wrong=(1, 2))))
    assert found.end_to_end_ms == {50: 4.0, 90: 4.0, 99: None}
    assert found.model_ms[50] == 2.0
    assert found.images_per_s == {8: 500.0}
    assert found.accuracy.value == 0.99
    # 0.8 giga-operations in 2 ms are 400 a second, of the 100 that float32 reaches.
    assert found.share_of_peak == pytest.approx(4.0)
    assert found.status == "ok"


def test_a_row_that_failed_has_its_error_and_nothing_else():
    _, found = figures(record(row("a.onnx", 4.0), FAILED))
    assert found.failed
    assert found.status == "cannot be loaded"
    assert (found.milliseconds, found.images_per_s, found.accuracy) == (None, {}, None)


def test_an_unstable_row_says_what_and_how():
    single = {"model_ms": [[1.0], [1.0], [2.0], [2.0]], "end_to_end_ms": [[1.0]] * 4}
    (found,) = figures(record(row("a.onnx", 1.0, single=single)))
    assert found.status == "unstable: model drift +100%"
    assert not found.failed


def test_on_the_front_is_what_no_other_beats_in_both():
    rows = figures(
        record(
            row("fast.onnx", 1.0, range(20)),
            row("slow-and-worse.onnx", 2.0, range(30)),
            row("good.onnx", 3.0, range(2)),
            row("as-good-and-slower.onnx", 4.0, range(2)),
            FAILED,
        )
    )
    assert pareto(rows) == {"fast.onnx", "good.onnx"}


def test_an_accuracy_on_images_of_its_training_is_not_shown_and_the_notes_say_so():
    seen = row("a.onnx", 1.0)
    seen["accuracy"]["seen_in_training"] = "maybe"
    whole = record(seen, row("b.onnx", 2.0, range(9)))
    assert [found.accuracy is None for found in figures(whole)] == [True, False]
    assert pareto(figures(whole)) == {"b.onnx"}
    assert "a.onnx: no accuracy: it may have been trained on the images" in as_markdown(whole, "")


def test_notes_say_what_was_trained_on_and_never_what_is_not_known():
    known, unknown = row("known.onnx", 1.0), row("unknown.onnx", 2.0)
    known["accuracy"]["trained_on"] = {"exact": 36, "near": 0, "none": 12, "held_aside": 0, "left_out": 36}
    unknown["accuracy"] |= {"seen_in_training": "unknown", "trained_on": None}
    told = as_markdown(record(known, unknown), "")
    assert "known.onnx: 36 of 48 images were trained on (exact copies: 36, near copies: 0); left out: 36." in told
    assert (
        "unknown.onnx: accuracy on 200 images; it does not list its training images, so these may be among them."
        in told
    )
    assert "not those of its training" not in told


def test_the_images_behind_the_accuracies_are_said_once_or_model_by_model():
    one, two, other = row("a.onnx", 1.0), row("b.onnx", 2.0), row("c.onnx", 3.0, n=100)
    assert "Accuracy on: test part, n = 200.\n" in as_markdown(record(one, two), "")
    other["accuracy"]["split"] = {"hash": "t", "protocol": "grouped"}
    told = as_markdown(record(one, two, other), "")
    assert "test part, n = 200: a.onnx, b.onnx; test part of the grouped split, n = 100: c.onnx" in told
    assert "cannot be compared" in told


def test_a_row_that_failed_half_way_is_not_on_the_front():
    assert pareto(figures(record(row("a.onnx", 1.0, error="out of memory"), row("b.onnx", 2.0)))) == {"b.onnx"}


def test_csv_has_every_figure_in_a_column(tmp_path):
    against = {"parent": "a.onnx", "difference": -0.01, "p_value": 0.5}
    text = as_csv(
        record(row("a.onnx", 4.0), row("b.onnx", 1.0, precision="int8", against_parent=against), FAILED), "a.onnx"
    )
    first, second, failed = csv.DictReader(io.StringIO(text))
    assert (first["end_to_end_ms_p50"], first["end_to_end_ms_p99"], first["accuracy_value"]) == ("4.0", "", "1.0")
    assert (second["drop"], second["p_value"], second["images_per_s"]) == ("0.01", "0.5", "8:2000.00")
    assert (failed["model"], failed["status"], failed["mib"]) == ("broken.onnx", "cannot be loaded", "")


def test_markdown_is_one_table_and_the_notes():
    text = as_markdown(record(row("a|b.onnx", 4.0), FAILED), "")
    lines = text.splitlines()
    assert len({line.replace(r"\|", "").count("|") for line in lines[:4]}) == 1
    assert lines[2].startswith(r"| **a\|b.onnx** |")
    assert "a processor, 2 cores" in text
    assert "not for diagnosis" in text


def test_a_saved_record_comes_back(tmp_path):
    save(record(row("a.onnx", 4.0)), tmp_path / "r.json")
    assert load(tmp_path / "r.json") == json.loads(json.dumps(record(row("a.onnx", 4.0))))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 1, "rows": 1, "machine": {}}', json.dumps(record())]
)
def test_another_file_is_no_record(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(AllkitError, match="is not a record of `allkit bench`"):
        load(tmp_path / "r.json")


def test_a_record_of_another_schema_is_refused(tmp_path):
    (tmp_path / "r.json").write_text('{"schema_version": 9, "rows": [], "machine": {}}')
    with pytest.raises(AllkitError, match="schema version 9"):
        load(tmp_path / "r.json")


def test_reading_a_record_loads_no_runtime_image_library_or_framework(tmp_path):
    save(record(row("a.onnx", 4.0), row("b.onnx", 2.0)), tmp_path / "r.json")
    code = (
        "import sys; from pathlib import Path; from allkit.benchmark.record import choose, compare, record; "
        "found = record.load(Path(sys.argv[1])); choose.recommend(found, choose.Budget(ms=9)); "
        "compare.compare_records(found, found); "
        "print([name for name in ('onnxruntime', 'cv2', 'keras', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "r.json"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")

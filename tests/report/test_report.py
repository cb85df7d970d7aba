import json

import pytest
from click.testing import CliRunner

from allkit.cli.main import cli
from allkit.errors import AllkitError
from allkit.report.page import as_html, as_markdown
from allkit.report.sources import gather
from allkit.report.tables import tables
from allkit.support.files import content_hash
from models import tiny_model
from records import accuracy, record, row, save


def table(sources, title):
    return next(found for found in tables(sources) if found.title == title)


RECALL = {"value": 0.75, "low": 0.5, "high": 0.875}


@pytest.fixture
def model_and_records(tmp_path):
    """A folder with a model, its evaluation under two shifts, and a benchmark of it."""
    folder = tmp_path / "exported"
    folder.mkdir()
    tiny_model(folder / "tiny.onnx")
    shifts = [
        {"name": name, "accuracy": {"value": value}} for name, value in (("none", 1), ("hue", 0.5), ("blur", 0.9))
    ]
    classes = {"per_class": {"a": {"recall": RECALL}, "b": {"recall": None}}, "confusion": [[99, 2], [0, 99]]}
    metrics = {**accuracy(range(2))["metrics"], **classes}
    evaluation = {**accuracy(()), "model": "tiny.onnx", "metrics": metrics, "shifts": {"rows": shifts}}
    evaluation |= {"sha256": content_hash(folder / "tiny.onnx"), "doubt": {"calibration_error": 0.125}}
    (tmp_path / "evaluation.json").write_text(json.dumps({**evaluation, "split": {"protocol": "grouped"}}))
    save(record(row("tiny.onnx", 4.0, sha256=content_hash(folder / "tiny.onnx"))), tmp_path / "bench.json")
    return [folder, tmp_path / "evaluation.json", tmp_path / "bench.json"]


def test_a_model_has_what_its_records_say(model_and_records):
    (found,) = table(gather(model_and_records), "Models").rows
    assert found[0] == "tiny.onnx"
    assert found[2:4] == ("99.00 % [97.00, 100.00]", "200")
    assert found[4:7] == ("test, grouped", "99.00%", "0.125")
    # Mean and worst of the shifts without the images as they are, half of 4 ms, 2000 / 4 images a second.
    assert found[7:] == ("70.0%", "50.0% (hue)", "2.00", "500")


def test_an_evaluation_of_several_models_is_taken_apart(model_and_records):
    one = model_and_records[1]
    one.write_text(json.dumps({"evaluations": [json.loads(one.read_text())], "pairs": []}))
    assert table(gather(model_and_records), "Recall by class").rows


def test_recalls_stand_by_class(model_and_records):
    found = table(gather(model_and_records), "Recall by class")
    assert found.header == ("model", "a", "b")
    assert found.rows == [("tiny.onnx", "75.00 % [50.00, 87.50]", "-")]


def test_a_model_alone_has_what_its_contract_says(model_and_records):
    (found,) = table(gather(model_and_records[:1]), "Models").rows
    assert found[2:7] == ("90.00 % [80.00, 95.00]", "50", "test, random", "50.00%", "0.010")
    assert found[7:] == ("-",) * 4


def test_what_was_measured_on_training_images_and_the_speed_of_another_file_are_not_shown(model_and_records):
    folder, evaluation, bench = model_and_records
    told = {"exact": 36, "near": 0, "none": 12, "held_aside": 0, "left_out": 0}
    seen = {"seen_in_training": "yes", "trained_on": told}
    evaluation.write_text(json.dumps({**json.loads(evaluation.read_text()), **seen}))
    save(record(row("tiny.onnx", 4.0)), bench)
    shown = table(gather([folder, evaluation, bench]), "Models")
    (found,) = shown.rows
    assert "tiny.onnx: an evaluation is not shown, 36 of 48 images were trained on" in shown.note
    assert found[2] == "90.00 % [80.00, 95.00]"
    assert found[7:] == ("-",) * 4


def test_images_that_were_left_out_stand_beside_those_that_an_accuracy_is_of(model_and_records):
    folder, evaluation, bench = model_and_records
    told = {"exact": 36, "near": 0, "none": 12, "held_aside": 0, "left_out": 36}
    evaluation.write_text(json.dumps({**json.loads(evaluation.read_text()), "part": "all", "trained_on": told}))
    (found,) = table(gather([folder, evaluation, bench]), "Models").rows
    assert found[4].endswith("; 36 of 48 images were trained on (exact copies: 36, near copies: 0); left out: 36")


def test_a_report_does_not_claim_what_a_model_does_not_tell(model_and_records):
    folder, evaluation, bench = model_and_records
    whole = {**json.loads(evaluation.read_text()), "split": None, "seen_in_training": "unknown", "trained_on": None}
    evaluation.write_text(json.dumps(whole))
    (found,) = table(gather([folder, evaluation, bench]), "Models").rows
    assert found[4] == "all images; whether it was trained on them is unknown"


def test_an_evaluation_belongs_to_the_content_of_a_file_whatever_its_name(model_and_records):
    folder, evaluation, bench = model_and_records
    (folder / "tiny.onnx").rename(folder / "renamed.onnx")
    # Another model takes the old name.
    tiny_model(folder / "tiny.onnx", width=2.0)
    renamed, tiny = table(gather([folder, evaluation, bench]), "Models").rows
    assert (renamed[0], renamed[2], renamed[9]) == ("renamed.onnx", "99.00 % [97.00, 100.00]", "2.00")
    assert (tiny[0], tiny[2], tiny[9]) == ("tiny.onnx", "90.00 % [80.00, 95.00]", "-")
    (folder / "renamed.onnx").unlink()
    with pytest.raises(AllkitError, match=r"evaluation\.json is of a file tiny\.onnx of other content"):
        gather([folder, evaluation, bench])


def test_an_evaluation_that_does_not_say_of_which_file_it_is_is_refused_with_the_command(model_and_records):
    folder, evaluation, _ = model_and_records
    old = json.loads(evaluation.read_text())
    del old["sha256"]
    evaluation.write_text(json.dumps(old))
    with pytest.raises(AllkitError, match=r"does not say which file .*allkit evaluate tiny\.onnx --json"):
        gather([folder, evaluation])


def test_two_evaluations_of_one_file_are_not_chosen_between(model_and_records):
    folder, evaluation, _ = model_and_records
    other = json.loads(evaluation.read_text()) | {"part": "validation"}
    (folder.parent / "other.json").write_text(json.dumps(other))
    with pytest.raises(AllkitError, match=r"other\.json is not the only evaluation of tiny\.onnx"):
        gather([folder, evaluation, folder.parent / "other.json"])
    assert gather([folder, evaluation, evaluation]).models[0].evaluation["part"] == "test"


def test_models_measured_on_different_images_say_so_in_every_table(model_and_records):
    folder, evaluation, _ = model_and_records
    tiny_model(folder / "other.onnx", width=2.0)
    first = json.loads(evaluation.read_text())
    other = {**first, "sha256": content_hash(folder / "other.onnx"), "split": {"protocol": "random", "hash": "b" * 64}}
    (folder.parent / "other.json").write_text(json.dumps(other))
    sources = gather([folder, evaluation, folder.parent / "other.json"])
    names = ["other.onnx on test, random", "tiny.onnx on test, grouped"]
    assert [row[0] for row in table(sources, "Recall by class").rows] == names
    assert list(table(sources, "Imaging shifts").header[1:]) == names
    methods = table(sources, "Methods")
    assert [row[0] for row in methods.rows[-2:]] == names
    assert "Measured here on: test, random; test, grouped." in methods.note
    # Two splits of one protocol are told apart by their hashes.
    first["split"] = {"protocol": "random", "hash": "a" * 64}
    evaluation.write_text(json.dumps(first))
    sources = gather([folder, evaluation, folder.parent / "other.json"])
    expected = ["other.onnx on test, random bbbbbbbb", "tiny.onnx on test, random aaaaaaaa"]
    assert [row[0] for row in table(sources, "Recall by class").rows] == expected


def test_models_of_different_classes_stand_in_one_table(model_and_records):
    folder, evaluation, _ = model_and_records
    tiny_model(folder / "other.onnx", width=2.0)
    other = json.loads(evaluation.read_text()) | {"sha256": content_hash(folder / "other.onnx")}
    other["metrics"] |= {"per_class": {"c": {"recall": RECALL}}, "confusion": [[200]]}
    (folder.parent / "other.json").write_text(json.dumps(other))
    found = table(gather([folder, evaluation, folder.parent / "other.json"]), "Recall by class")
    assert found.header == ("model", "c", "a", "b")
    shown = "75.00 % [50.00, 87.50]"
    assert [row[1:] for row in found.rows] == [(shown, "-", "-"), ("-", shown, "-")]


@pytest.mark.parametrize("content", ["[1]", "{}", "no json", '{"training_seconds": 3}', '{"machine": {}}'])
def test_what_is_no_source_is_named(tmp_path, content):
    path = tmp_path / "thing.json"
    path.write_text(content)
    with pytest.raises(AllkitError, match=r"thing\.json (is n|cannot be reported on)"):
        gather([path])


def test_page_and_markdown_show_the_same_tables(finished_run, model_and_records):
    sources = gather([finished_run.folder, *model_and_records])
    page, markdown = as_html(sources, "Results & more"), as_markdown(sources, "Results & more")
    assert page.count("<svg") == 1
    assert "<h1>Results &amp; more</h1>" in page
    for found in tables(sources):
        assert f"## {found.title}\n" in markdown
        assert f"<h2>{found.title}</h2>" in page
    for honesty in ("not for diagnosis", "Najjar et al. 2025"):
        assert honesty in page
        assert honesty in markdown


def test_the_command_writes_both_or_prints(finished_run, tmp_path):
    words = ["report", str(finished_run.folder)]
    printed = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert printed.stdout.startswith("# Results\n")
    files = ["--html", str(tmp_path / "r.html"), "--markdown", str(tmp_path / "r.md")]
    CliRunner().invoke(cli, [*words, *files], catch_exceptions=False)
    assert (tmp_path / "r.md").read_text() == printed.stdout.removesuffix("\n")
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_a_benchmark_alone_is_listed_by_image_size(tmp_path):
    path = tmp_path / "bench.json"
    small, large = row("a.onnx", 4.0), row("b.onnx", 16.0) | {"size_px": 300, "sha256": "1" * 64}
    path.write_text(json.dumps(record(small, large)))
    (found,) = (table for table in tables(gather([path])) if table.title == "Latency and throughput by image size")
    # The model alone takes half of the time from file to result; 2,000 / ms images a second.
    assert [(cells[0], *cells[4:]) for cells in found.rows] == [
        ("300", "8.00", "16.00", "125"),
        ("150", "2.00", "4.00", "500"),
    ]

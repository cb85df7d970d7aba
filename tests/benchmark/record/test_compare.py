import pytest

from allkit.benchmark.record.compare import compare_records
from allkit.errors import AllkitError
from records import MACHINE, record, row


def rounds(*values):
    return {"model_ms": [[value] * 9 for value in values], "end_to_end_ms": [[2 * value] * 9 for value in values]}


def test_rounds_apart_differ_significantly_and_mixed_rounds_do_not():
    first = record(row("a.onnx", 1.0, single=rounds(1.0, 1.1, 1.2, 1.1, 1.0)))
    slower = record(row("a.onnx", 1.0, single=rounds(2.0, 2.1, 2.2, 2.1, 2.0)))
    alike = record(row("a.onnx", 1.0, single=rounds(1.1, 1.0, 1.2, 1.0, 1.2)))
    found = {change.measure: change for change in compare_records(first, slower).changes}
    assert found["model ms"].significant
    assert (found["model ms"].first, found["model ms"].second) == (1.1, 2.1)
    assert found["model ms"].ratio.low < 2.1 / 1.1 < found["model ms"].ratio.high
    # 5 rounds and 5 rounds apart: 2 of 252 orders; four measures, of which two are apart.
    assert found["file to result ms"].p_value == pytest.approx(4 * 2 / 252)
    assert not any(change.significant for change in compare_records(first, alike).changes)


def test_accuracies_on_the_same_images_are_compared():
    first, second = record(row("a.onnx", 1.0, range(20))), record(row("a.onnx", 1.0, range(10)))
    found = next(change for change in compare_records(first, second).changes if change.measure == "accuracy")
    assert (found.first, found.second) == (0.9, 0.95)
    # Ten images, all for the second: 2 / 2 ** 10, times the four measures compared.
    assert found.p_value == pytest.approx(4 * 2 / 2**10)


def test_what_else_is_not_the_same_is_said():
    first = record(row("a.onnx", 1.0), machine={**MACHINE, "libraries": {"onnxruntime": "2.0"}})
    second = record(row("a.onnx", 1.0, sha256="1" * 64, provider="OtherExecutionProvider"))
    second["data"]["files"] = 3
    told = "\n".join(compare_records(first, second).remarks)
    for part in (
        "a.onnx: the file differs",
        "the provider differs: CPUExecutionProvider and OtherExecutionProvider",
        "data, files: 200 and 3",
        "libraries: {'onnxruntime': '2.0'} and {'onnxruntime': '1.0'}",
        "each record is one run",
    ):
        assert part in told
    assert len(compare_records(first, first).remarks) == 1


def test_too_few_rounds_for_so_many_measures_are_called_so():
    rows = [row(f"{name}.onnx", 1.0) for name in "abcd"]
    found = compare_records(record(*rows), record(*rows))
    assert "5 and 5 rounds are too few for 16 measures" in found.remarks[0]


def test_records_of_different_machines_are_refused():
    first, second = record(row("a.onnx", 1.0)), record(row("a.onnx", 1.0), machine={**MACHINE, "cores": 64})
    with pytest.raises(AllkitError, match=r"different machines.*cores: 2 and 64"):
        compare_records(first, second)


def test_rows_that_failed_or_are_missing_are_passed_over():
    failed = {"model": "b.onnx", "error": "x"}
    first = record(row("a.onnx", 1.0), failed, row("only-here.onnx", 1.0))
    assert {
        change.model for change in compare_records(first, record(row("a.onnx", 1.0), row("b.onnx", 1.0))).changes
    } == {"a.onnx"}


def test_nothing_in_common_is_an_error():
    with pytest.raises(AllkitError, match="no measured model in common"):
        compare_records(record(row("a.onnx", 1.0)), record(row("b.onnx", 1.0)))


def test_no_difference_of_accuracy_comes_with_the_one_that_could_have_been_shown():
    first, second = record(row("a.onnx", 1.0, [0])), record(row("a.onnx", 1.0, [1], sha256="1" * 64))
    # Four measures: 4 * 2^(1 - k) is below 0.05 from k = 8 on, of 200 images.
    (told,) = (remark for remark in compare_records(first, second).remarks if "accuracy difference" in remark)
    assert told.startswith("a.onnx: an accuracy difference below 4.00% cannot be significant on 200 images")
    for whole in (first, second):
        whole["rows"][0]["accuracy"]["groups"] = [i // 50 for i in range(200)]
    told = "\n".join(compare_records(first, second).remarks)
    assert "a.onnx: an accuracy difference of any size cannot be significant" in told

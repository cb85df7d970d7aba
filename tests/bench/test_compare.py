import numpy as np
import pytest
import scipy.stats

from allkit.bench.compare import compare, permutation_test
from allkit.errors import AllkitError
from records import MACHINE, record, row


def rounds(*values):
    return {"model_ms": [[value] * 9 for value in values], "end_to_end_ms": [[2 * value] * 9 for value in values]}


def test_the_permutation_test_is_that_of_scipy():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.7, 3.0):
        a, b = rng.normal(size=5), rng.normal(shift, size=6)
        expected = scipy.stats.permutation_test((a, b), lambda x, y: abs(x.mean() - y.mean()), alternative="greater")
        assert permutation_test(a, b) == pytest.approx(expected.pvalue, abs=0.003)


def test_rounds_apart_are_real_and_rounds_mixed_may_be_chance():
    first = record(row("a.onnx", 1.0, single=rounds(1.0, 1.1, 1.2, 1.1, 1.0)))
    slower = record(row("a.onnx", 1.0, single=rounds(2.0, 2.1, 2.2, 2.1, 2.0)))
    alike = record(row("a.onnx", 1.0, single=rounds(1.1, 1.0, 1.2, 1.0, 1.2)))
    found = {change.measure: change for change in compare(first, slower)}
    assert found["model ms"].real
    assert found["model ms"].ratio == pytest.approx(2.1 / 1.1)
    assert found["file to result ms"].p_value == pytest.approx(2 / 252)
    assert not any(change.real for change in compare(first, alike))


def test_other_machines_are_refused_unless_told_to_go_on():
    first, second = record(row("a.onnx", 1.0)), record(row("a.onnx", 1.0), machine={**MACHINE, "cores": 64})
    with pytest.raises(AllkitError, match=r"different machines.*cores: 2 and 64"):
        compare(first, second)
    assert compare(first, second, across_machines=True)


def test_rows_that_failed_or_are_missing_are_passed_over():
    failed = {"model": "b.onnx", "error": "x"}
    first = record(row("a.onnx", 1.0), failed, row("only-here.onnx", 1.0))
    assert {change.model for change in compare(first, record(row("a.onnx", 1.0), row("b.onnx", 1.0)))} == {"a.onnx"}


def test_nothing_in_common_is_an_error():
    with pytest.raises(AllkitError, match="no measured model in common"):
        compare(record(row("a.onnx", 1.0)), record(row("b.onnx", 1.0)))

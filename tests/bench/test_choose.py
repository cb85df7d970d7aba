import pytest

from allkit.bench.choose import Budget, recommend
from records import record, row

FAST = row("fast.onnx", 1.0, range(12), mib=1.0)
LEVEL = row("level.onnx", 2.0, range(3), mib=2.0)
BEST = row("best.onnx", 8.0, range(2), mib=9.0)
ALL = record(FAST, LEVEL, BEST, {"model": "broken.onnx", "error": "x", "against_parent": None})


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        # One image of 200 apart is chance, ten are not (exact McNemar: p = 1 and 2 ** -9).
        (Budget(), "level.onnx"),
        (Budget(ms=1.5), "fast.onnx"),
        (Budget(mib=1.0), "fast.onnx"),
        (Budget(ms=5.0, accuracy=0.98), "level.onnx"),
        (Budget(accuracy=0.99), "best.onnx"),
    ],
)
def test_of_those_within_the_budget_the_fastest_that_is_not_worse(budget, expected):
    model, reason = recommend(ALL, budget)
    assert model == expected
    assert "ms" in reason


def test_the_reason_names_the_more_accurate_one_that_was_passed_over():
    _, reason = recommend(ALL, Budget())
    assert "best.onnx is the most accurate, 99.00 %" in reason
    assert "4.0 times as fast" in reason


@pytest.mark.parametrize(
    ("budget", "nearest"),
    [
        (Budget(ms=0.5), "fast.onnx comes nearest: 1.00 ms, 0.5 allowed"),
        (Budget(mib=0.9), "fast.onnx comes nearest: 1.00 MiB, 0.9 allowed"),
        (Budget(accuracy=0.999), "best.onnx comes nearest: accuracy 99.00%, 99.90% asked for"),
    ],
)
def test_where_nothing_qualifies_the_nearest_is_named_with_what_it_misses(budget, nearest):
    assert recommend(ALL, budget) == (None, f"nothing qualifies; {nearest}")


def test_without_accuracies_speed_decides():
    rows = [{**one, "accuracy": None} for one in (FAST, BEST)]
    assert recommend(record(*rows), Budget(mib=10))[0] == "fast.onnx"
    assert "no accuracy measured" in recommend(record(*rows), Budget(accuracy=0.5))[1]


def test_on_other_images_a_lower_accuracy_is_lower():
    other = row("other.onnx", 1.0, range(3))
    other["accuracy"]["split"] = {"hash": "another"}
    assert recommend(record(other, BEST), Budget())[0] == "best.onnx"


def test_where_nothing_was_measured_there_is_nothing_to_recommend():
    assert recommend(record({"model": "broken.onnx", "error": "x"}), Budget()) == (None, "no model could be measured")

import pytest

from allkit.benchmark.record.choose import Budget, recommend
from records import record, row

# Of 2,000 images: the best is wrong on two, one that is level on three, a fast one on 120.
FAST = row("fast.onnx", 1.0, range(120), mib=1.0, n=2000)
LEVEL = row("level.onnx", 2.0, range(3), mib=2.0, n=2000)
BEST = row("best.onnx", 8.0, range(2), mib=9.0, n=2000)
ALL = record(FAST, LEVEL, BEST, {"model": "broken.onnx", "error": "x", "against_parent": None})


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        # One image of 2,000 less is shown to be less than a point (20 images); 118 are not.
        (Budget(), "level.onnx"),
        (Budget(ms=1.5), "fast.onnx"),
        (Budget(mib=1.0), "fast.onnx"),
        (Budget(ms=5.0, accuracy=0.98), "level.onnx"),
        (Budget(accuracy=0.9988), "best.onnx"),
    ],
)
def test_of_those_within_the_budget_the_fastest_that_is_not_worse(budget, expected):
    model, reason = recommend(ALL, budget)
    assert model == expected
    assert "ms" in reason


def test_the_reason_names_the_more_accurate_one_that_was_passed_over():
    _, reason = recommend(ALL, Budget())
    assert "best.onnx is the most accurate, 99.90 %" in reason
    assert "shown to lose less than 1 point" in reason
    assert "4.0 times as fast" in reason
    # What is faster still was passed over for good.
    assert "fast.onnx, 1.00 ms, loses 5.9 points on these 2000 images: more images would not show" in reason


def test_of_twelve_images_a_model_that_is_right_on_seven_does_not_win_over_one_that_is_right_on_all():
    fast, best = row("fast.onnx", 1.0, range(5), n=12), row("best.onnx", 8.0, (), n=12)
    model, reason = recommend(record(fast, best), Budget())
    assert model == "best.onnx"
    assert "fast.onnx, 1.00 ms, loses 41.67 points on these 12 images" in reason


def test_equal_on_few_images_is_not_shown_to_be_equal_and_the_reason_says_how_many_would_do():
    # One image wrong each, another one: as accurate, and of 200 images nothing is sure to a point.
    fast, best = row("fast.onnx", 1.0, [0, 2]), row("best.onnx", 8.0, [1])
    model, reason = recommend(record(fast, best), Budget())
    assert model == "best.onnx"
    # Variances 0.01768 if the loss were a point, 0.01498 as it is: (1.645 * 0.1330 + 0.842 * 0.1224)^2 / 0.005^2.
    assert "not shown to lose less than 1 point on these 200 images" in reason
    assert "about 4,140 similar images would suffice" in reason


def test_a_wider_margin_lets_a_faster_model_win():
    fast, best = row("fast.onnx", 1.0, [0, 2]), row("best.onnx", 8.0, [1])
    model, reason = recommend(record(fast, best), Budget(), margin=0.05)
    assert model == "fast.onnx"
    assert "shown to lose less than 5 points" in reason


def test_images_in_groups_show_less():
    fast, best = row("fast.onnx", 1.0, range(5), n=2000), row("best.onnx", 8.0, (), n=2000)
    assert recommend(record(fast, best), Budget())[0] == "fast.onnx"
    # The five stand in one group, which lost all of its images; of twenty such groups one says little.
    for one in (fast, best):
        one["accuracy"]["groups"] = [*[0] * 5, *[1 + i // 105 for i in range(1995)]]
    model, reason = recommend(record(fast, best), Budget())
    assert model == "best.onnx"
    assert "not shown to lose less than 1 point" in reason


@pytest.mark.parametrize(
    ("budget", "nearest"),
    [
        (Budget(ms=0.5), "fast.onnx is closest: 1.00 ms, 0.5 allowed"),
        (Budget(mib=0.9), "fast.onnx is closest: 1.00 MiB, 0.9 allowed"),
        (Budget(accuracy=0.9999), "best.onnx is closest: accuracy 99.90%, 99.99% required"),
    ],
)
def test_where_nothing_qualifies_the_nearest_is_named_with_what_it_misses(budget, nearest):
    assert recommend(ALL, budget) == (None, f"no model fits the budget; {nearest}")


def test_without_accuracies_speed_decides():
    rows = [{**one, "accuracy": None} for one in (FAST, BEST)]
    assert recommend(record(*rows), Budget(mib=10))[0] == "fast.onnx"
    assert "no accuracy measured" in recommend(record(*rows), Budget(accuracy=0.5))[1]


def test_on_other_images_a_lower_accuracy_is_lower():
    other = row("other.onnx", 1.0, range(3), n=2000)
    other["accuracy"]["split"] = {"hash": "another"}
    model, reason = recommend(record(other, BEST), Budget())
    assert model == "best.onnx"
    assert "other.onnx, 1.00 ms, was measured on different images" in reason


def test_where_nothing_was_measured_there_is_nothing_to_recommend():
    assert recommend(record({"model": "broken.onnx", "error": "x"}), Budget()) == (None, "no model could be measured")


def test_of_several_faster_models_the_reason_speaks_of_the_one_that_lacks_the_fewest_images():
    fastest, near, best = row("fastest.onnx", 1.0, range(9)), row("near.onnx", 2.0, [0]), row("best.onnx", 8.0, ())
    _, reason = recommend(record(fastest, near, best), Budget())
    assert "near.onnx, 2.00 ms, is not shown" in reason
    assert "fastest.onnx" not in reason

from dataclasses import replace

import msgspec
import pytest
from matplotlib.figure import Figure

from allkit.metrics.records import ShareRecord
from allkit.report import comparison_chart as module
from allkit.report.comparison import (
    ComparisonRecord,
    CopiedRecord,
    MethodRecord,
    PairRecord,
    ResultRecord,
    SpeedRecord,
    comparison_tables,
    front_of,
)
from allkit.report.page import as_html, as_markdown
from allkit.report.sources import gather


def result(accuracy):
    return ResultRecord(1000, 40, ShareRecord(accuracy, accuracy - 0.02, accuracy + 0.01))


def method(name, grouped, ms, **fields):
    speed = {"int8": SpeedRecord(0.5, ms / 2, ms, 1000 / ms, ShareRecord(0.9, 0.8, 0.95))} if ms else {}
    whole = MethodRecord(
        name=name,
        title=name.upper(),
        training="random weights, 3 epochs",
        size_px=112,
        copied=[],
        random=result(0.97),
        grouped=result(grouped) if grouped else None,
        hardest=result(0.5),
        parameters=1234,
        gmac=0.1,
        speed=speed,
    )
    return replace(whole, **fields)


METHODS = [
    method("slow", 0.95, 9.0),
    method("good", 0.96, 4.0, copied=[CopiedRecord("Somebody 2020", 98.0, True)]),
    method("quick", 0.90, 1.0),
    method("bad", 0.80, 2.0),
    method("unmeasured", 0.99, None),
    method("halfway", None, 5.0),
    method("copied", None, None, training=None, size_px=None, random=None, hardest=None, parameters=None, gmac=None),
]
PAIRS = [
    PairRecord("five grouped folds", "GOOD", "BAD", 1000, 40, 170, 10, 0.0004),
    PairRecord("five grouped folds", "GOOD", "SLOW", 1000, 40, 15, 5, 0.3),
]
RECORD = ComparisonRecord(1, "a command", [3, 4], "A note.", "a machine, 2 cores", METHODS, ["good", "quick"], PAIRS)


def test_the_front_holds_what_none_exceeds_in_accuracy_and_speed():
    assert front_of(METHODS) == {"good", "quick"}


def test_methods_stand_in_order_of_their_accuracy_on_all_folds():
    accuracies, costs, _ = comparison_tables(RECORD)
    assert [row[0] for row in accuracies.rows] == [
        "UNMEASURED",
        "GOOD *",
        "SLOW",
        "QUICK *",
        "BAD",
        "HALFWAY",
        "COPIED",
    ]
    assert accuracies.header[-1] == "folds 3 and 4"
    assert accuracies.note.endswith("A note.")
    assert accuracies.rows[1] == (
        "GOOD *",
        "> 98 (Somebody 2020)",
        "97.00 % [95.00, 98.00]",
        "96.00 % [94.00, 97.00]",
        "50.00 % [48.00, 51.00]",
    )
    assert costs.rows[1][2:] == (
        "112",
        "1,234",
        "0.100",
        *"----",
        "0.50",
        "2.00",
        "250",
        "90.00 % [80.00, 95.00]",
    )
    assert "COPIED" not in [row[0] for row in costs.rows]


def test_what_is_not_significant_is_not_called_equal():
    found = comparison_tables(RECORD)[2]
    assert [row[-2:] for row in found.rows] == [("< 0.001", "yes"), ("0.300", "no")]
    # Of 40 groups in two pairs seven must differ, all to one side: 2 * 2^(1 - 7) < 0.05 <= 2 * 2^(1 - 6).
    assert "that 1,000 images in 40 groups could have shown is 0.70%, were all of it in favour of one" in found.note


def test_the_chart_has_a_mark_per_method_that_was_measured_and_a_step_per_method_on_the_front(monkeypatch):
    drawn = []
    monkeypatch.setattr(module, "inline", lambda chart, title, words: drawn.append((chart, words)))
    module.comparison_chart(RECORD)
    ((chart, words),) = drawn
    figure = Figure()
    chart.draw(figure)
    (axes,) = figure.axes
    assert sorted(text.get_text() for text in axes.texts) == ["BAD", "GOOD", "QUICK", "SLOW"]
    (step,) = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert step.get_xydata().tolist() == [[1.0, 0.90], [4.0, 0.96]]
    assert "GOOD 4.00 ms, 96.00 % [94.00, 97.00]" in words


def test_a_record_is_read_and_shown(tmp_path):
    path = tmp_path / "comparators.json"
    path.write_bytes(msgspec.json.encode(RECORD))
    found = gather([path])
    assert found.comparisons == [RECORD]
    assert "| GOOD &#42; |" in as_markdown(found, "Comparators")
    page = as_html(found, "Comparators")
    assert "The most accurate on grouped folds: UNMEASURED" in page
    assert page.count("<svg") == 1


@pytest.mark.parametrize("methods", [METHODS[4:5], METHODS[5:]])
def test_without_speeds_there_is_no_chart(methods):
    assert module.comparison_chart(replace(RECORD, methods=methods)) is None


def test_without_accuracies_none_is_the_best(tmp_path):
    path = tmp_path / "comparators.json"
    path.write_bytes(msgspec.json.encode(replace(RECORD, methods=METHODS[5:])))
    assert "most accurate" not in as_html(gather([path]), "Comparators")

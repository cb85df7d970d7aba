import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from allkit.report.bench_charts import Axis, Point, distributions, log_limits, scatter

SVG = "{http://www.w3.org/2000/svg}"


def centres(tree):
    return [(float(mark.get("cx")), float(mark.get("cy"))) for mark in tree.iter(f"{SVG}circle")]


def test_marks_stand_in_proportion():
    points = [Point(0, 0), Point(5, 1), Point(10, 2)]
    tree = ElementTree.fromstring(scatter(points, Axis("x"), Axis("y"), "title", "text"))
    (x0, y0), (x1, y1), (x2, y2) = sorted(centres(tree))
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    # Up is towards the top.
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert y0 > y2


def test_a_logarithmic_axis_gives_equal_steps_to_equal_ratios():
    points = [Point(1, 0), Point(10, 0), Point(100, 1)]
    tree = ElementTree.fromstring(scatter(points, Axis("x", log=True), Axis("y"), "title", "text"))
    (x0, _), (x1, _), (x2, _) = sorted(centres(tree))
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)


def test_a_chart_tells_those_who_do_not_see_it():
    tree = ElementTree.fromstring(scatter([Point(1, 1, "<a & b>")], Axis("x"), Axis("y"), "a < b", "c & d"))
    assert tree.get("role") == "img"
    assert [tree.find(f"{SVG}{name}").text for name in ("title", "desc")] == ["a < b", "c & d"]
    assert "<a & b>" in [text.text for text in tree.iter(f"{SVG}text")]


def test_kinds_differ_in_shape():
    points = [Point(i, i, kind=i) for i in range(4)]
    chart = scatter(points, Axis("x"), Axis("y"), "title", "text")
    shapes = {re.sub(r"[-\d.]+", "#", mark) for mark in re.findall(r'<\w+ class="mark"[^>]*>', chart)}
    assert len(shapes) == 4


def test_labels_do_not_lie_on_each_other():
    points = [Point(1, 1 + i / 1000, f"label {i}") for i in range(5)]
    tree = ElementTree.fromstring(scatter(points, Axis("x"), Axis("y"), "title", "text"))
    heights = sorted(float(text.get("y")) for text in tree.iter(f"{SVG}text") if text.text.startswith("label"))
    assert min(b - a for a, b in pairwise(heights)) >= 12


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0, 2.0], [1.0, 5.0, 1000.0]])
def test_a_distribution_shows_its_slowest_value(values):
    tree = ElementTree.fromstring(distributions({"a": values}, Axis("ms", log=True), "title", "text"))
    assert [text.text for text in tree.iter(f"{SVG}text")][-1] == "a"
    ticks = max((path.get("d") for path in tree.iter(f"{SVG}path")), key=lambda d: d.count("v6"))
    places = [float(place) for place in re.findall(r"M([\d.]+)", ticks)]
    assert len(places) == len(values) + 1
    assert max(places) == places[-1]


def test_one_point_alone_has_an_axis():
    ElementTree.fromstring(scatter([Point(1, 0.5)], Axis("x"), Axis("y"), "title", "text"))


@pytest.mark.parametrize("value", [0.7, 3.3, 7.1, 1400.0])
def test_a_logarithmic_axis_has_a_tick_however_alike_its_values_are(value):
    low, high = log_limits(value, value * 1.01)
    assert low < value < value * 1.01 < high
    assert any(low <= digit * 10.0**power <= high for digit in (1, 2, 5) for power in range(-1, 5))


def test_a_label_hides_no_neighbouring_mark():
    # The second mark lies where the label of the first would stand, a third of its length to the right.
    points = [Point(1, 1, "a label of some length"), Point(1.1, 1), Point(2, 1.001)]
    tree = ElementTree.fromstring(scatter(points, Axis("x"), Axis("y"), "title", "text"))
    label = next(text for text in tree.iter(f"{SVG}text") if text.text.startswith("a label"))
    first, second, _ = tree.iter(f"{SVG}circle")
    assert float(second.get("cx")) - float(first.get("cx")) < 100
    assert label.get("text-anchor") == "start"
    assert abs(float(label.get("y")) - 4 - float(second.get("cy"))) >= 12


def test_a_label_stays_near_its_mark_in_a_crowd_of_whiskers():
    # Whiskers from top to bottom wherever a label could stand: words may cross them, they may not flee.
    points = [Point(i, 5, f"model {i}", low=0, high=10) for i in range(8)]
    tree = ElementTree.fromstring(scatter(points, Axis("x"), Axis("y"), "title", "text"))
    height = float(next(tree.iter(f"{SVG}circle")).get("cy"))
    labels = [text for text in tree.iter(f"{SVG}text") if (text.text or "").startswith("model")]
    assert len(labels) == 8
    assert all(abs(float(label.get("y")) - 4 - height) <= 3 * 14 for label in labels)


def test_words_that_stand_farther_off_have_a_leader_from_their_mark():
    points = [Point(1, 1, f"label {i}") for i in range(9)]
    tree = ElementTree.fromstring(scatter(points, Axis("x"), Axis("y"), "title", "text"))
    mark = float(next(tree.iter(f"{SVG}circle")).get("cy"))
    heights = [float(text.get("y")) - 4 for text in tree.iter(f"{SVG}text") if (text.text or "").startswith("label")]
    leaders = [path.get("d") for path in tree.iter(f"{SVG}path") if path.get("class") == "leader"]
    assert 0 < len(leaders) == sum(abs(height - mark) > 14 for height in heights)
    assert {float(re.match(r"M[\d.]+ ([\d.]+)L", leader)[1]) for leader in leaders} == {mark}


def test_names_of_lines_that_end_together_stand_in_the_order_of_their_ends():
    lines = {f"line {i}": [Point(1, i % 3), Point(2, 10 - i / 100)] for i in range(6)}
    lines["far below"] = [Point(1, 0), Point(2, 0)]
    tree = ElementTree.fromstring(scatter([], Axis("x"), Axis("y"), "t", "d", lines=lines))
    texts = [text for text in tree.iter(f"{SVG}text") if text.text in lines]
    assert [text.text for text in sorted(texts, key=lambda text: float(text.get("y")))] == list(lines)
    assert min(b - a for a, b in pairwise(sorted(float(text.get("y")) for text in texts))) >= 13.9
    rightmost = max(float(line.get("points").split()[-1].split(",")[0]) for line in tree.iter(f"{SVG}polyline"))
    assert {float(text.get("x")) > rightmost for text in texts} == {True}


def test_a_very_long_name_leaves_room_for_its_line():
    lines = {"n" * 200: [Point(1, 1), Point(2, 2)]}
    tree = ElementTree.fromstring(scatter([], Axis("x"), Axis("y"), "t", "d", lines=lines))
    first, last = next(tree.iter(f"{SVG}polyline")).get("points").split()
    assert float(last.split(",")[0]) - float(first.split(",")[0]) > 150


def test_the_name_of_a_line_lies_on_no_other_line():
    # The level line passes where the name of the rising one would stand.
    lines = {"rising": [Point(1, 0), Point(10, 10)], "level": [Point(1, 10.5), Point(15, 10.5)]}
    tree = ElementTree.fromstring(scatter([], Axis("x"), Axis("y"), "t", "d", lines=lines))
    rising, level = (line.get("points").split() for line in tree.iter(f"{SVG}polyline"))
    height = float(level[0].split(",")[1])
    base = next(float(text.get("y")) for text in tree.iter(f"{SVG}text") if text.text == "rising")
    # Letters reach from ten pixels above the base line to three below it.
    assert not base - 10 < height < base + 3
    assert abs(float(rising[1].split(",")[1]) - base) < 60

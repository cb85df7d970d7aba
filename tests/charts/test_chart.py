import re
from html.parser import HTMLParser

import cv2
import pytest

from allkit.charts.chart import COLOURS, INK, Chart


def line(figure):
    axes = figure.add_subplot(xlabel="a < b & $c$")
    axes.plot([1, 2], [3, 4], color=COLOURS[1], label="<script>")
    axes.legend()


CHART = Chart(line, (4.0, 3.0))


def test_a_file_has_its_size_its_text_as_text_and_the_same_bytes_every_time(tmp_path):
    for name in ("one.svg", "two.svg", "one.png", "two.png"):
        CHART.save(tmp_path / name)
    for form in ("svg", "png"):
        assert (tmp_path / f"one.{form}").read_bytes() == (tmp_path / f"two.{form}").read_bytes()
    assert "a &lt; b &amp; $c$" in (tmp_path / "one.svg").read_text()
    # 4 x 3 inches of 200 pixels.
    assert cv2.imread(str(tmp_path / "one.png")).shape == (600, 800, 3)


def test_a_chart_in_a_page_takes_the_colours_of_the_page():
    svg = CHART.inline("title", "words")
    assert "var(--two)" in svg
    assert "var(--ink)" in svg
    assert not re.search(f"{COLOURS[1]}|{INK}", svg)
    assert not re.search(r' id="(figure|axes|text)_', svg)


def test_a_chart_in_a_page_is_told_to_those_who_cannot_see_it():
    found = {}

    class Reader(HTMLParser):
        tag = ""

        def handle_starttag(self, tag, attributes):
            self.tag = tag
            found.setdefault(tag, dict(attributes))

        def handle_data(self, data):
            found.setdefault(f"text of {self.tag}", data)

    Reader().feed(CHART.inline("a < b", "x \x1b y & z"))
    assert (found["svg"]["class"], found["svg"]["role"]) == ("chart", "img")
    # 72 units to an inch.
    assert found["svg"]["viewbox"] == "0 0 288 216"
    assert (found["text of title"], found["text of desc"]) == ("a < b", r"x \x1b y & z")
    assert "script" not in found


@pytest.mark.parametrize("name", ["one.svg", "one.png"])
def test_a_chart_that_fails_leaves_no_file(tmp_path, name):
    def fails(figure):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Chart(fails).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []

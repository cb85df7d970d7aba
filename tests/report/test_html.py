from html.parser import HTMLParser

import pytest

from allkit.report.html import Verdict, numeric_columns, render


def test_a_name_in_a_page_is_text_and_can_be_written():
    tags, words = [], []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append(tag)
    parser.handle_data = words.append
    name = "<script>&amp;</script> \x1b \udcff 5 %"
    page = render(
        "results.html.j2",
        title=name,
        summary=Verdict((), ""),
        tables=[],
        sizes=None,
        comparisons=[],
        trainings=[],
        notes=[],
    )
    parser.feed(page.encode().decode())
    assert "script" not in tags
    assert words.count("<script>&amp;</script> \\x1b \\xff 5\N{NO-BREAK SPACE}%") == 2


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [
        (["1,024", "-"], True),
        (["97.83 % [95.4, 99.0]", "-"], True),
        (["+0.36 (p 1.00)", "< 0.001"], True),
        (["0.91 / 0.97 / 1.56", "12:3"], True),
        (["98.1 % (JPEG 30)"], True),
        (["x0.25 int8"], False),
        (["150 px x0.25 int8"], False),
        (["0.5", "failed"], False),
        (["2 Anik"], False),
    ],
)
def test_a_column_of_figures_is_told_from_one_of_words(cells, numeric):
    assert numeric_columns([[cell] for cell in cells]) == [numeric]

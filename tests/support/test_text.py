import re

import pytest

from allkit.support.text import markdown, shortened, unprintable, visible, visible_lines


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b-ü-血-😀.png", "a b-ü-血-😀.png"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\r\nb\tc", r"a\x0d\x0ab\x09c"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        # U+202E turns the direction of writing: `gnp.exe` would be shown as `exe.png`.
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("line\u2028line", r"line\u2028line"),
        # How Python carries the bytes FF and 80 of a file name, and a lone half of a pair from elsewhere.
        ("\udcff\udc80.png", r"\xff\x80.png"),
        ("\ud800", r"\ud800"),
    ],
)
def test_a_name_is_shown_on_one_line_and_never_acts(name, shown):
    assert visible(name) == shown
    assert unprintable(name) == (name != shown)
    assert visible(name).encode().decode().isprintable()


def test_lines_and_tabs_of_a_message_stay():
    assert visible_lines("a\tb\nc\x1b[m\r") == "a\tb\nc\\x1b[m\\x0d"


def columns(line: str) -> list[str]:
    """The cells of a row, as GitHub's specification of tables splits them: at each | without a backslash before it."""
    return re.split(r"(?<!\\)\|", line.strip().strip("|"))


@pytest.mark.parametrize("name", ["a|b", r"a\|b", "\\", "a\\", "|", "a\nb", "`a|b`"])
def test_a_name_is_one_cell_of_a_markdown_table(name):
    assert len(columns(f"| {markdown(name)} | x |")) == 2


def test_a_name_in_markdown_is_no_tag_link_emphasis_or_formula():
    found = markdown("<script>[x](javascript:1) *a* __init__ `b` ~~c~~ $d$ &lt; [1.0, 2.0] x_y")
    assert "<" not in found
    assert "](" not in found
    assert not re.search(r"[*`~$]|\b_|_\b", found)
    # What is read in reports every day stays as it is.
    assert found.endswith("&amp;lt; [1.0, 2.0] x_y")
    assert markdown("vgg16x0.25-150_int8.onnx, 95.67 % [94.84, 96.36]") == (
        "vgg16x0.25-150_int8.onnx, 95.67 % [94.84, 96.36]"
    )


@pytest.mark.parametrize(
    ("most", "shown"), [(10, "0123456789"), (9, "012...789"), (8, "01...789"), (3, "..."), (1, ".")]
)
def test_a_long_text_loses_its_middle(most, shown):
    assert shortened("0123456789", most) == shown

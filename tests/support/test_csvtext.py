import csv
import io
import re
from pathlib import Path

import pytest

from allkit.errors import AllkitError
from allkit.support.csvtext import path_field, read_rows, text_field, write_rows

ROWS = [["path", "x"], ["a\rb", "c\nd"], ["e\r\nf", 'g"h'], ["i,j", ""], ["k", "1.5"]]


def written(rows) -> str:
    stream = io.StringIO()
    write_rows(stream, rows)
    return stream.getvalue()


def test_every_row_comes_back_whatever_line_end_is_in_it(tmp_path):
    text = written(ROWS)
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == ROWS
    # A program that opens the file as text, and so takes \r for a line end, sees as many rows.
    assert len(list(csv.reader(io.StringIO(text)))) == len(ROWS)
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert read_rows(tmp_path / "t.csv", "fix it") == ROWS


def test_what_needs_no_quotes_has_none_and_lines_end_in_a_line_feed():
    assert written([["a", None, 1, 0.5], ["b c", "é", True, -1]]) == "a,,1,0.5\nb c,é,True,-1\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\ta", "\ra", "\uff1da", "'=1", "''=1"])
def test_a_spreadsheet_calculates_no_field_and_a_program_gets_the_text_back(text):
    field = text_field(text)
    assert field[0] == "'"
    assert re.sub("^'('*[=+\\-@\t\r\n＝＋－＠])", r"\1", field) == text
    assert path_field(text) == f"./{text}"
    assert Path(path_field(text)) == Path(text)


@pytest.mark.parametrize("text", ["ok", "a=b", "'quoted'", "images/=1.png", "/=1", "1-2", ""])
def test_other_texts_are_written_as_they_are(text):
    assert text_field(text) == path_field(text) == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"a,b\n1\n", "row 1 of .* has 1 fields, not 2"),
        (b"a,b\n1,\xff\n", "cannot read"),
        (b'a,b\n1,"x\n', "cannot read"),
        (b"a,b\n1," + b"9" * 200_000, "field larger"),
    ],
)
def test_a_damaged_file_is_named_with_the_fix(tmp_path, content, reason):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(AllkitError, match=f"(?s)({reason}).*: fix it|t.csv.*{reason}.*fix it"):
        read_rows(tmp_path / "t.csv", "fix it")
    with pytest.raises(AllkitError, match="cannot read"):
        read_rows(tmp_path / "gone.csv", "fix it")

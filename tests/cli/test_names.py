"""Names and texts from strangers on their way through the commands."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from allkit import Prediction
from allkit.classification.rows import write_csv
from allkit.cli.console import PlainConsole
from allkit.cli.main import cli, main
from allkit.cli.terminal import say
from allkit.errors import AllkitError
from classified import run
from models import tiny_model
from records import MACHINE, record, row
from trees import make_tree, write_image

# Bytes that move the cursor, change colours or begin a sequence on some terminal; line feed and tab do not.
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
EVIL = "[/bold][red]\x1b[2J\x9b2J:smile:\u202e"


def invoke(*words, status=0):
    """A command that must succeed and send nothing but text."""
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == status, result.output
    assert not ACTS.search(result.output)
    return result


def columns_as_a_spreadsheet(text: str) -> list[list[str]]:
    """Rows as a spreadsheet reads them: any line end outside quotes ends one."""
    return list(csv.reader(io.StringIO(text, newline=None), strict=True))


@pytest.mark.usefixtures("folder")
def test_paths_with_carriage_returns_are_one_row_each_in_csv():
    os.rename("images/smear2.png", "images/a\rb.png")
    text = run("images", "--format", "csv").stdout_bytes.decode()
    assert [row["path"] for row in csv.DictReader(io.StringIO(text, newline=""))] == [
        "images/a\rb.png",
        "images/smear10.png",
    ]
    assert len(columns_as_a_spreadsheet(text)) == 3


@pytest.mark.usefixtures("folder")
def test_a_path_that_begins_as_a_formula_is_none_in_csv_and_still_the_path():
    write_image(Path("=1+cmd.png"), 0)
    write_image(Path("@evil.png"), 1)
    text = run("=1+cmd.png", "@evil.png", "images/smear2.png", "--format", "csv").stdout
    paths = [row["path"] for row in csv.DictReader(io.StringIO(text))]
    assert paths == ["./=1+cmd.png", "./@evil.png", "images/smear2.png"]
    assert all(Path(path).is_file() for path in paths)
    for cells in columns_as_a_spreadsheet(text):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_what_classify_prints_of_a_name_never_acts_on_a_terminal(form):
    os.rename("images/smear2.png", "images/[red]\x1b[2J.png")
    Path("images/\x1b[31m.jpg").write_bytes(b"none")
    result = run("images", "--format", form)
    assert result.exit_code == 1
    assert not ACTS.search(result.stderr)
    if form != "csv":
        assert not ACTS.search(result.stdout)
    assert "[red]" in result.stdout


def test_a_console_shows_markup_emoji_and_control_sequences_as_text():
    from rich.table import Table

    stream = io.StringIO()
    console = PlainConsole(file=stream, width=120)
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    console.print(table)
    console.print(EVIL)
    shown = stream.getvalue()
    assert shown.count(r"[/bold][red]\x1b[2J\x9b2J:smile:\u202e") == 4
    assert not ACTS.search(shown)


def test_a_line_keeps_its_own_colour_and_escapes_the_text(capsys):
    say(f"{EVIL}\nnext\tline", err=True, label="error:")
    assert capsys.readouterr().err == "error: [/bold][red]\\x1b[2J\\x9b2J:smile:\\u202e\nnext\tline\n"


def test_errors_name_a_file_without_obeying_it(monkeypatch, capsys):
    for words in (["inspect", "\x1b[2J.onnx"], ["report", "\x1b[2J"], ["classify", ".", "--model", "\x1b[2J"]):
        monkeypatch.setattr(sys, "argv", ["allkit", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert r"\x1b[2J" in error
        assert not ACTS.search(error)


def test_clicks_own_errors_do_not_obey_it_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("\x1b[2J")
    result = invoke("bench", "--json", "\x1b[2J", status=2)
    assert r"\x1b[2J" in result.stderr


@pytest.fixture
def tree(tmp_path):
    """Two classes whose names are markup, one with an unreadable file whose name is more than that."""
    make_tree(tmp_path / "tree", {"[bold]B": 24, "<script>A": 24})
    (tmp_path / "tree" / "[bold]B" / f"{EVIL.replace('/', '')}.png").write_bytes(b"none")
    (tmp_path / "tree" / "=1+1 \udcff\x1b[2J.txt").write_text("")
    return tmp_path / "tree"


def test_an_audit_of_such_names_shows_them(tree, tmp_path):
    result = invoke("data", "audit", tree, "--html", tmp_path / "a.html", "--json", tmp_path / "a.json", status=1)
    assert "[bold]B" in result.stdout
    assert r"[red]\x1b[2J" in result.stdout
    assert r"=1+1 \xff\x1b[2J.txt" in result.stdout
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not ACTS.search(page)
    assert json.loads((tmp_path / "a.json").read_text())["skipped"] == {
        r"=1+1 \xff\x1b[2J.txt": "not in a class folder"
    }


def test_an_evaluation_of_such_names_shows_them(tree, tmp_path):
    model = tiny_model(tmp_path / "[bold]\x1b[2J.onnx", ("<script>A", "[bold]B"))
    result = invoke("evaluate", model, "--data", tree, "--shift", "--device", "cpu", status=1)
    for words in (r"[bold]\x1b[2J.onnx", "<script>A", "[bold]B", r"[red]\x1b[2J"):
        assert words in result.output


def evil_record(**fields):
    machine = {**MACHINE, "processor": EVIL, "libraries": {"<script>": "=1"}}
    name = "<script>|[x](y)\x1b.onnx"
    failed = {"model": "=cmd.onnx", "error": f"=cmd <script> {EVIL}"}
    return record(row(name, 4.0, notice=EVIL, provider="@p", precision="+int8", **fields), failed, machine=machine)


def test_a_benchmark_with_such_texts_is_shown_everywhere(tmp_path):
    source = tmp_path / "r.json"
    source.write_text(json.dumps(evil_record()))
    files = {kind: tmp_path / f"b.{kind}" for kind in ("csv", "markdown", "report")}
    result = invoke("bench", "--from", source, *(f"--{kind}={path}" for kind, path in files.items()), status=1)
    assert r"=cmd.onnx: =cmd <script> [/bold][red]\x1b[2J" in result.stdout
    for path in (files["markdown"], files["report"]):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        assert not ACTS.search(text)
    assert "](" not in files["markdown"].read_text()
    table = files["markdown"].read_text().splitlines()[:4]
    assert len({len(re.split(r"(?<!\\)\|", line)) for line in table}) == 1
    rows = columns_as_a_spreadsheet(files["csv"].read_text())
    assert not any(cell.startswith(("=", "+", "@")) for cells in rows for cell in cells)
    assert rows[2][0] == "./=cmd.onnx"
    invoke("bench", "--compare", source, source)


def test_the_picture_of_a_benchmark_takes_no_name_for_a_formula(tmp_path):
    source = tmp_path / "r.json"
    source.write_text(json.dumps(record(row(r"$\frac{$.onnx", 4.0), row("a\x1b.onnx", 2.0))))
    invoke("bench", "--from", source, "--plot", tmp_path / "p.svg")
    assert "\x1b" not in (tmp_path / "p.svg").read_text(encoding="utf-8")


def test_a_report_of_such_texts_is_markdown_and_html_without_markup_of_theirs(tmp_path):
    results = Path(__file__).parents[2] / "benchmarks" / "results"
    found = json.loads((results / "trials" / "5-long.json").read_text())
    found |= {"device": f"<script> | [x](y) {EVIL}"}
    source = tmp_path / "<script>|.json"
    source.write_text(json.dumps(found))
    printed = invoke("report", source).stdout
    invoke("report", source, "--html", tmp_path / "r.html")
    for text in (printed, (tmp_path / "r.html").read_text(encoding="utf-8")):
        assert "<script" not in text
        assert not ACTS.search(text)
    assert "](" not in printed


@pytest.mark.usefixtures("folder")
def test_class_names_that_the_font_of_the_contact_sheet_lacks_are_drawn_escaped(tmp_path):
    """A lone surrogate in a text ended the process, with status 139."""
    program = """
import numpy as np
from allkit.runtime.overlay import OverlayFolder
from allkit.runtime.classifier import Prediction
from models import tiny_contract
from pathlib import Path
names = ("plain", "\\udcff", "\\u8840", "\\x1b[2J")
OverlayFolder(Path("maps"), [Path("images/smear2.png")], tiny_contract(names)).write_contact_sheet()
OverlayFolder(Path("same"), [Path("images/smear2.png")], tiny_contract(("plain", r"\\xff", r"\\u8840", r"\\x1b[2J")))\
.write_contact_sheet()
"""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert done.returncode == 0
    sheets = [Path(folder, "contact-sheet.heatmap.png").read_bytes() for folder in ("maps", "same")]
    assert sheets[0] == sheets[1]


@pytest.mark.parametrize(
    "names", [("A", "a"), ("path", "B"), ("A", "\udcff"), ("A", "a\rb"), ("=1", "B"), ("A", "\x1b[2J"), ("A", "a|b")]
)
def test_class_folders_that_cannot_name_classes_are_refused(tmp_path, names):
    for name in names:
        write_image(tmp_path / name / "1.png", 0)
    with pytest.raises(AllkitError, match=r"the folders of .* cannot name classes: .*rename") as caught:
        CliRunner().invoke(cli, ["data", "audit", str(tmp_path)], catch_exceptions=False)
    assert str(caught.value).isprintable()


class Terminal(io.StringIO):
    """A text stream that says it is one."""

    def isatty(self):
        return True


def test_rows_of_csv_keep_names_as_they_are_in_files_and_escape_them_on_a_terminal():
    rows = [(Path("images/\x1b[2Ja.png"), Prediction(error="cannot read \x9b2J"))]
    kept, shown = io.StringIO(), Terminal()
    for stream in (kept, shown):
        write_csv(rows, ("red", "green"), stream)
    assert next(csv.DictReader(io.StringIO(kept.getvalue())))["path"] == "images/\x1b[2Ja.png"
    assert not ACTS.search(shown.getvalue())
    assert r"images/\x1b[2Ja.png" in shown.getvalue()

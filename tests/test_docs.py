"""README and the pages in toolkit/docs: links resolve, and every command and Python example runs at toy size."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from allkit.cli.main import cli
from allkit.data.synth import synthesize

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "toolkit" / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "toolkit" / "README.md", *DOCS]
LINKED = [
    *PAGES,
    ROOT / "benchmarks" / "README.md",
    ROOT / "benchmarks" / "training.md",
    ROOT / "exported" / "README.md",
]

# A block is not run where the line before it says what it needs.
_BLOCK = re.compile(r"^(?P<needs><!-- needs: .*? -->\n)?```(?P<language>sh|python)\n(?P<text>.*?)^```", re.M | re.S)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

# What keeps an example small; a training that names no epochs gets one.
_TOY = {r"--size \d+": "--size 32", r"--width [\d.]+": "--width 0.0625", r"--folds \d+": "--folds 2"}
_TOY |= {
    r"vgg16x[\d.]+-\d+": "vgg16x0.0625-32",
    r"allkit bench (?!--from)": "allkit bench --seconds 0 --queries 2 --rounds 2 ",
    r"allkit tune ": "allkit tune --seconds 1 ",
}


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page):
    for link in _LINK.findall(page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_short():
    assert (ROOT / "README.md").stat().st_size <= 6144


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_diff_is_of_lines_that_are_there(page):
    for diff in re.findall(r"^```diff\n(.*?)^```", page.read_text(), re.M | re.S):
        for name, added in re.findall(r"^--- (.+)\n((?:\+.*\n)+)", diff, re.M):
            assert re.sub(r"^\+", "", added, flags=re.M) in (ROOT / name).read_text()


def toy(line: str) -> list[str]:
    for pattern, small in _TOY.items():
        line = re.sub(pattern, small, line)
    if line.startswith("allkit train") and "--resume" not in line:
        line += " --epochs 1 --batch-size 8"
    return shlex.split(line, comments=True)[1:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with images as the pages name them, and a run and its models as their commands make them."""
    folder = tmp_path_factory.mktemp("docs")
    synthesize(folder / "ALL", 8)
    synthesize(folder / "folder", 1)
    first, second = sorted((folder / "folder").rglob("*.jpg"))[:2]
    first.rename(folder / "smear.jpg")
    second.rename(folder / "other.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        network = "--recipe scratch --size 32 --width 0.0625 --split random --out runs/slim"
        run(f"allkit train --data ALL/ {network}")
        run("allkit export --run runs/slim")
        run("allkit bench --data ALL/ --json bench.json")
    return folder


def run(line: str) -> None:
    words = toy(line)
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, (words, result.output, result.exception)


def blocks(language: str):
    for page in PAGES:
        for found in _BLOCK.finditer(page.read_text()):
            if found["language"] == language and not found["needs"]:
                yield pytest.param(found["text"], id=f"{page.relative_to(ROOT)}:{found.start()}")


@pytest.mark.parametrize("text", blocks("sh"))
@pytest.mark.slow
def test_commands_run(text, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for line in text.splitlines():
        if " train " in line and "--resume" not in line and (out := re.search(r"--out (\S+)", line)):
            # Another page may have trained it already.
            line = line.replace(out[0], f"--out {out[1]}-{len(list(Path('runs').iterdir()))}")
        if line.startswith("allkit train --out"):
            line = "allkit train --out runs/slim --resume"
        run(line)


@pytest.mark.parametrize("text", blocks("python"))
@pytest.mark.slow
def test_python_examples_run(text, folder, monkeypatch):
    monkeypatch.chdir(folder)
    text = text.replace("vgg16x0.25-150", "vgg16x0.0625-32")
    exec(compile(text, "example", "exec"), {"__name__": "example"})

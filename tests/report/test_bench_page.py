import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from allkit.benchmark.record.choose import Budget, recommend
from allkit.report import bench_page as module
from records import record, row


def bench_page(record):
    return module.bench_page(record, recommend(record, Budget()))


INT8 = {"precision": "int8", "against_parent": {"parent": "a.onnx", "difference": 0.0, "p_value": 1.0}}
FAILED = {"model": "<broken>.onnx", "error": "cannot & will not", "against_parent": None}
RATES = {"1": [[100.0]] * 5, "8": [[300.0]] * 5}
WHOLE = record(row("a.onnx", 4.0, range(3), offline=RATES), row("b.onnx", 1.0, range(5), size_px=200, **INT8), FAILED)


class Outline(HTMLParser):
    """The texts of a page by their tag, and whether all that opens is closed."""

    VOID = frozenset({"meta", "br", "img", "link"})

    def __init__(self, page):
        super().__init__()
        self.open, self.texts = [], {}
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def test_every_part_is_there_and_every_tag_closed():
    found = Outline(bench_page(WHOLE)).texts
    assert found["h2"] == [
        "Accuracy and latency",
        "Image size",
        "Image size, beside the paper's Table 1",
        "Metrics, beside the paper's Table 2",
        "Latency of single images",
        "Throughput against batch size",
        "Confusion matrices",
        "All figures",
        "Machine",
    ]
    assert found["dd"] == ["98.5\N{NO-BREAK SPACE}%", "4.00 ms", "300"]
    assert {"a.onnx", "b.onnx", "<broken>.onnx", "12,024", "95.35", "nearest colour histogram"} <= set(found["td"])


def test_metrics_on_images_of_the_training_are_in_no_table():
    seen = row("seen.onnx", 2.0, range(60))
    seen["accuracy"]["seen_in_training"] = "maybe"
    # 60 of 200 wrong: 70.00 % would stand among the methods.
    found = Outline(bench_page(record(row("a.onnx", 4.0, range(2)), seen))).texts
    assert "99.00" in found["td"]
    assert "70.00" not in found["td"]


def test_what_comes_from_elsewhere_is_escaped():
    page = bench_page(WHOLE)
    assert "<broken>" not in page
    assert "&lt;broken&gt;.onnx: cannot &amp; will not." in page


def test_the_page_needs_no_other_file_and_no_script():
    page = bench_page(WHOLE)
    assert not re.search(r"\b(src|href)=(?!\"#)|url\((?!#)|<script|@import", page)


def test_every_chart_has_a_text_in_its_place():
    page = bench_page(WHOLE)
    assert page.count("<svg") == page.count("<title>") - 1 == page.count("<desc>") == 4
    assert "a.onnx 4.00 ms, 98.5 % [96.5, 99.5]" in page


def test_without_accuracies_the_page_says_so():
    page = bench_page(record({**row("a.onnx", 4.0), "accuracy": None}))
    assert "accuracy was not measured" in page
    assert "Confusion" not in page


def test_a_record_of_failures_alone_is_a_page_too():
    assert "cannot &amp; will not" in bench_page(record(FAILED))


def browse(folder, page, *options):
    """What headless Chromium prints of a page; it must have nothing to say on its console."""
    path = folder / "bench.html"
    path.write_text(page)
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--enable-logging=stderr", *options, path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in done.stderr
    return done.stdout


in_chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")


@in_chromium
@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (1100, "dark"), (400, "light")])
def test_a_browser_shows_it_without_errors_and_without_running_out_at_the_side(tmp_path, width, scheme):
    probe = """<script>onload = () => { document.title = JSON.stringify({
        wide: document.documentElement.scrollWidth, inside: innerWidth,
        ink: getComputedStyle(document.body).color, paper: getComputedStyle(document.body).backgroundColor,
        charts: [...document.querySelectorAll('svg')].map(chart => chart.getBoundingClientRect().width),
        labels: [...document.querySelectorAll('svg text')].map(label => label.textContent)}) }</script>"""
    page = bench_page(WHOLE).replace("</body>", probe + "</body>")
    colours = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    shown = browse(tmp_path, page, f"--window-size={width},900", colours, "--dump-dom")
    found = json.loads(re.search(r"<title>(\{.*?\})</title>", shown)[1].replace("&amp;", "&"))
    assert found["wide"] <= found["inside"]
    assert all(0 < chart <= found["inside"] for chart in found["charts"])
    assert {"a", "b", "Pareto front", "vgg16 x0.25 int8"} <= set(found["labels"])
    ink, paper = (sum(map(int, re.findall(r"\d+", found[name])[:3])) for name in ("ink", "paper"))
    assert (ink > paper) is (scheme == "dark")


@in_chromium
def test_a_browser_prints_it(tmp_path):
    browse(tmp_path, bench_page(WHOLE), f"--print-to-pdf={tmp_path / 'bench.pdf'}")
    printed = (tmp_path / "bench.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 6

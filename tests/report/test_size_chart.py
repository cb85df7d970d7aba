import pytest

from allkit.benchmark.record.record import by_size, figures
from allkit.report.paper import TABLE_1
from allkit.report.plot import write_plot
from allkit.report.size_chart import PAPER, lines_of, several_sizes
from records import record, row


def sized(name, size_px, ms, wrong=(), width=1.0, precision="fp32"):
    return row(name, ms, wrong) | {"size_px": size_px, "width": width, "precision": precision}


RECORD = record(
    sized("a.onnx", 150, 4.0),
    sized("b.onnx", 300, 16.0, range(3)),
    sized("c.onnx", 150, 1.0, precision="int8"),
    sized("d.onnx", 150, 0.5, width=0.25, precision="int8"),
)


def test_there_is_a_line_for_each_network_and_precision_after_the_papers():
    accuracies, latencies = lines_of(figures(RECORD))
    assert [line.name for line in accuracies] == [PAPER, "x1 fp32", "x1 int8", "x0.25 int8"]
    assert {size: round(100 * share.value, 2) for size, share in accuracies[0].points.items()} == {
        size: accuracy for size, _, accuracy in TABLE_1
    }
    n = RECORD["rows"][1]["accuracy"]["metrics"]["n"]
    assert accuracies[1].points[300].value == pytest.approx((n - 3) / n)
    # The model alone takes half of the time from file to result.
    assert latencies[0].points == pytest.approx({150: 2.0, 300: 8.0})
    assert len({line.colour for line in latencies}) == 2


def test_a_picture_of_several_sizes_has_its_text_as_text_and_is_the_same_every_time(tmp_path):
    for name in ("one.svg", "two.svg"):
        write_plot(RECORD, tmp_path / name)
    text = (tmp_path / "one.svg").read_text()
    for words in ("image size, px", "median latency, ms", "x0.25 int8", PAPER):
        assert words in text
    assert text == (tmp_path / "two.svg").read_text()
    assert not several_sizes(figures(record(sized("a.onnx", 150, 4.0), sized("c.onnx", 150, 1.0))))


def test_tables_show_the_largest_images_first():
    assert [row.model for row in by_size(figures(RECORD))] == ["b.onnx", "a.onnx", "c.onnx", "d.onnx"]

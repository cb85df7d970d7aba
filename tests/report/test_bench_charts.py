import numpy as np
import pytest
from matplotlib.figure import Figure

from allkit.benchmark.record.record import by_size, figures, placed
from allkit.errors import AllkitError
from allkit.report.bench_charts import PAPER, front, latencies, lines_of, throughput, write_plot
from allkit.report.paper import TABLE_1
from records import record, row


def sized(name, size_px, ms, wrong=(), width=1.0, precision="fp32", **fields):
    return row(name, ms, wrong, **fields) | {"size_px": size_px, "width": width, "precision": precision}


RECORD = record(
    sized("a.onnx", 150, 4.0),
    sized("b.onnx", 300, 16.0, range(3)),
    sized("c.onnx", 150, 1.0, range(2), precision="int8"),
    sized("d.onnx", 150, 0.5, range(8), width=0.25, precision="int8"),
    sized("e.onnx", 150, 0.7, range(9), width=0.25),
)


def drawn(chart):
    figure = Figure(figsize=chart.inches)
    chart.draw(figure)
    return figure.axes


def test_there_is_a_line_for_each_network_and_precision_after_the_papers():
    accuracies, milliseconds = lines_of(figures(RECORD))
    assert [line.name for line in accuracies] == [
        PAPER,
        *(f"vgg16 {kind}" for kind in ("x1 fp32", "x1 int8", "x0.25 fp32", "x0.25 int8")),
    ]
    assert {size: round(100 * share.value, 2) for size, share in accuracies[0].points.items()} == {
        size: accuracy for size, _, accuracy in TABLE_1
    }
    n = RECORD["rows"][1]["accuracy"]["metrics"]["n"]
    assert accuracies[1].points[300].value == pytest.approx((n - 3) / n)
    # The model alone takes half of the time from file to result.
    assert milliseconds[0].points == pytest.approx({150: 2.0, 300: 8.0})
    assert len({line.colour for line in milliseconds}) == 2


def test_the_front_has_a_mark_per_model_and_a_step_per_model_on_it():
    (axes,) = drawn(front(placed(figures(RECORD))))
    marks = np.concatenate([container[0].get_xydata() for container in axes.containers])
    assert sorted(map(tuple, marks.round(3))) == [(0.5, 0.96), (0.7, 0.955), (1.0, 0.99), (4.0, 1.0), (16.0, 0.985)]
    (step,) = [line for line in axes.get_lines() if line.get_label() == "Pareto front"]
    assert step.get_xydata().round(3).tolist() == [[0.5, 0.96], [1.0, 0.99], [4.0, 1.0]]
    assert sorted(text.get_text() for text in axes.texts) == ["150", "150", "150", "150", "300"]
    low, high = axes.get_xlim()
    assert low < 0.5 < 16 < high


def test_latencies_are_boxes_around_their_median():
    (axes,) = drawn(latencies({"a": [1.0, 2.0, 3.0, 4.0, 100.0], "b": [5.0] * 9}))
    names = [label.get_text() for label in axes.get_yticklabels()]
    medians = [line.get_xdata()[0] for line in axes.get_lines() if line.get_linewidth() == 2]
    # From the top: the last is the highest.
    assert dict(zip(names, medians, strict=True)) == {"b": 5.0, "a": 3.0}
    assert names == ["b", "a"]


def test_throughput_is_drawn_where_there_are_several_batch_sizes():
    assert throughput(figures(RECORD)) is None
    rates = {"1": [[100.0]] * 5, "8": [[300.0]] * 5}
    (axes,) = drawn(throughput(figures(record(sized("a.onnx", 150, 4.0, offline=rates)))))
    assert axes.get_lines()[0].get_xydata().tolist() == [[1, 100], [8, 300]]


def test_a_plot_is_against_size_where_there_are_several(tmp_path):
    write_plot(RECORD, tmp_path / "sizes.svg")
    write_plot(record(sized("a.onnx", 150, 4.0), sized("c.onnx", 150, 1.0)), tmp_path / "front.svg")
    assert "image size, px" in (tmp_path / "sizes.svg").read_text()
    assert "Pareto front" in (tmp_path / "front.svg").read_text()
    with pytest.raises(AllkitError, match="no accuracy to plot"):
        write_plot(record({**row("a.onnx", 4.0), "accuracy": None}), tmp_path / "none.svg")


def test_tables_show_the_largest_images_first():
    assert [row.model for row in by_size(figures(RECORD))] == ["b.onnx", "a.onnx", "c.onnx", "d.onnx", "e.onnx"]

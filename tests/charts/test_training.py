import numpy as np
from matplotlib.figure import Figure

from allkit.charts.training import confusion, learning_curves


def drawn(chart):
    figure = Figure(figsize=chart.inches)
    chart.draw(figure)
    return figure


def test_epochs_are_whole_numbers_and_curves_have_their_values():
    names = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    history = [{"epoch": i, **{name: (i + place) / 10 for place, name in enumerate(names)}} for i in (1, 2, 3)]
    figure = drawn(learning_curves(history))
    accuracy, loss = figure.axes
    assert [tick for tick in loss.get_xticks() if 1 <= tick <= 3] == [1, 2, 3]
    curves = {curve.get_label(): curve.get_ydata() for curve in accuracy.get_lines()}
    assert np.allclose(curves["training (augmented)"], [0.2, 0.3, 0.4])
    assert np.allclose(curves["validation"], [0.4, 0.5, 0.6])
    assert np.allclose(loss.get_lines()[1].get_ydata(), [0.3, 0.4, 0.5])


def test_a_confusion_matrix_shows_counts_and_shares_of_the_true_class():
    figure = drawn(confusion(np.array([[3, 1], [0, 0]]), ["A", "$B$"], "title"))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["3\n75.0%", "1\n25.0%", "0", "0"]
    assert axes.get_images()[0].get_array().tolist() == [[0.75, 0.25], [0.0, 0.0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["A", "$B$"]

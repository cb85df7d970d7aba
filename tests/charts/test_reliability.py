import numpy as np
from matplotlib.figure import Figure

from allkit.charts.reliability import reliability_diagram


def test_dots_stand_at_confidence_and_accuracy_above_their_number_of_images():
    # Ten images at 0.95, of which nine are right, and ten at 0.65, of which five are.
    confidence = np.repeat([0.95, 0.65], 10)
    probabilities = np.stack([confidence, 1 - confidence], 1)
    labels = np.array([0] * 9 + [1] + [0] * 5 + [1] * 5)
    figure = Figure()
    reliability_diagram(probabilities, probabilities, labels).draw(figure)
    before, after, counts, _ = figure.axes
    for axes in (before, after):
        measured = axes.get_lines()[1]
        assert np.allclose(measured.get_xydata(), [[0.65, 0.5], [0.95, 0.9]])
    assert [bar.get_height() for bar in counts.patches] == [10, 10]
    # No tick is markup of a formula, which charts do not typeset.
    assert all("$" not in label.get_text() for label in counts.get_yticklabels())
    # |0.9 - 0.95| and |0.5 - 0.65|, half of the images each.
    assert before.get_title().endswith("error 0.100")

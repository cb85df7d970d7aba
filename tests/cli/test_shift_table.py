import re

from allkit.cli.shift_table import print_shifts
from allkit.evaluation.shift_suite import ShiftRecord, ShiftRow
from allkit.metrics import Interval


def test_the_table_has_a_row_a_shift_the_mean_and_the_worst(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    rows = (
        ShiftRow("none", 400, Interval(0.99, 0.97, 0.996), 0.0, 1.0),
        ShiftRow("grey", 400, Interval(0.35, 0.305, 0.398), 0.64, 1e-70),
        ShiftRow("blur 1.2", 400, Interval(0.9925, 0.978, 0.9975), -0.0025, 1.0),
    )
    print_shifts(ShiftRecord(0, rows, {"gone.png": "no such file"}), "all images")
    lines = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert ["none", "99.00 % [97.00, 99.60]", "-", "-"] in lines
    assert ["grey", "35.00 % [30.50, 39.80]", "+64.00 points", "< 0.0001"] in lines
    assert ["blur 1.2", "99.25 % [97.80, 99.75]", "-0.25 points", "1.0000"] in lines
    assert ["mean over shifts 67.12 %, worst 35.00 % (grey)"] in lines
    assert ["1 image(s) left out of every row"] in lines

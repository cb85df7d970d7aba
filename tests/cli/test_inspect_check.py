"""`allkit inspect --check`."""

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from allkit.cli.main import cli
from allkit.model.file import read_model
from models import resealed

MODEL = "exported/tiny.onnx"


@pytest.mark.parametrize(("error", "status", "verdict"), [(0, 0, "right, used"), (50, 1, "wrong answers")])
def test_check_shows_each_kind_of_kernels_and_fails_where_none_is_right(folder, error, status, verdict):
    answers = read_model(Path(MODEL)).contract.known_answers
    distance = [value + error for value in answers["distance"]]
    onnx.save(resealed(onnx.load(MODEL), known_answers={**answers, "distance": distance}), MODEL)

    table = CliRunner().invoke(cli, ["inspect", MODEL, "--check"])
    assert table.exit_code == status
    assert all(word in table.output for word in ("fastest", "precise", "unoptimised", verdict))

    record = CliRunner().invoke(cli, ["inspect", MODEL, "--check", "--json"])
    assert record.exit_code == status
    told = json.loads(record.output)
    assert told["used"] == (None if error else "fastest")
    assert [one["tolerable"] for one in told["kernels"].values()] == [not error] * 3

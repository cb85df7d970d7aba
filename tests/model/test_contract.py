import json

import pytest

from allkit.errors import AllkitError
from allkit.model.contract import Contract
from models import tiny_contract

CONTRACT = tiny_contract(classes=("a", "b"))


def changed(**changes) -> str:
    return json.dumps({**json.loads(CONTRACT.to_json()), **changes})


def test_a_contract_tells_other_programs_that_images_are_cropped_and_not_stretched():
    assert json.loads(tiny_contract().to_json())["pixels"]["aspect"] == "center-crop"


def test_a_contract_survives_json():
    assert Contract.from_json(CONTRACT.to_json()) == CONTRACT


def test_a_newer_schema_asks_for_an_upgrade():
    with pytest.raises(AllkitError, match="upgrade allkit"):
        Contract.from_json(changed(schema_version=99))


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", "not json", changed(pixels={"size": 3}), changed(extra=1), changed(abstention={})]
)
def test_what_is_no_contract_is_refused(text):
    with pytest.raises(AllkitError, match="export"):
        Contract.from_json(text)


@pytest.mark.parametrize("classes", [[], ["one"], [1, 2], "ab", None])
def test_classes_must_be_two_or_more_names(classes):
    with pytest.raises(AllkitError, match="class"):
        Contract.from_json(changed(classes=classes))


@pytest.mark.parametrize("side", [0, -1, 2.7, "2", None, 10**6])
def test_a_heat_map_has_a_size(side):
    heatmap = {"method": "hirescam", "layer": "l", "height": 2, "width": 2, "stride_px": 4}
    answers = {**CONTRACT.known_answers, "heatmap": [[0.0]]}
    assert Contract.from_json(changed(heatmap=heatmap, known_answers=answers)).heatmap == heatmap
    with pytest.raises(AllkitError, match="export the model again"):
        Contract.from_json(changed(heatmap={**heatmap, "stride_px": side}, known_answers=answers))


def test_a_contract_that_is_nested_too_deeply_is_refused():
    with pytest.raises(AllkitError, match="not readable"):
        Contract.from_json("[" * 200_000)


@pytest.mark.parametrize("field", ["abstention", "familiarity", "latency"])
@pytest.mark.parametrize("value", ["0.5", None, [0.5], {}])
def test_numbers_that_decide_something_are_numbers(field, value):
    record = json.loads(CONTRACT.to_json())[field]
    name = "ms" if field == "latency" else "threshold"
    with pytest.raises(AllkitError, match=rf"{field}.*export the model again"):
        Contract.from_json(changed(**{field: {**record, name: value}}))

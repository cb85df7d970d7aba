import pytest

from allkit import Classifier
from allkit.errors import AllkitError
from allkit.runtime import plan as plan_room
from allkit.runtime import tuning
from allkit.runtime.plan import Plan, default_plan
from allkit.runtime.tuning import candidates, measure, remember, tuned_plan
from allkit.support.files import cache_folder, read_cache, write_cache
from models import flat, tiny_model

BEST = Plan(3, 1, 5)


@pytest.fixture
def model(tmp_path):
    return tiny_model(tmp_path / "m.onnx")


def test_a_small_network_runs_side_by_side_and_a_large_one_over_all_cores(monkeypatch):
    monkeypatch.setattr(plan_room, "cores", lambda: 6)
    assert (default_plan(2**20).workers, default_plan(2**20).threads) == (6, 1)
    assert (default_plan(2**25).workers, default_plan(2**25).threads) == (2, 6)
    assert default_plan(2**20, "latency") == Plan(1, 6, 1)


def test_a_remembered_plan_is_the_one_that_is_used(model):
    assert tuned_plan(model) is None
    assert remember(model, BEST) == cache_folder() / "plans.json"
    assert tuned_plan(model) == BEST
    assert Classifier(model, device="cpu").plan == BEST
    assert Classifier(model, device="cpu", batch_size=9).plan == Plan(3, 1, 9)
    assert Classifier(model, device="cpu", mode="latency").plan != BEST


def test_another_model_machine_or_onnxruntime_is_another_question(model, tmp_path, monkeypatch):
    remember(model, BEST)
    assert tuned_plan(tiny_model(tmp_path / "other.onnx", bias=[1, 0, 0])) is None
    with monkeypatch.context() as patch:
        patch.setattr(tuning.onnxruntime, "__version__", "0.0.1")
        assert tuned_plan(model) is None
    monkeypatch.setattr(tuning, "cores", lambda: 99)
    assert tuned_plan(model) is None


def test_plans_of_other_models_are_kept(model, tmp_path):
    other = tiny_model(tmp_path / "other.onnx", bias=[1, 0, 0])
    remember(other, Plan(1, 1, 1))
    remember(model, BEST)
    assert (tuned_plan(other), tuned_plan(model)) == (Plan(1, 1, 1), BEST)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"x": 1}'])
def test_a_damaged_file_of_plans_does_no_harm(model, text):
    cache_folder().mkdir(parents=True)
    (cache_folder() / "plans.json").write_text(text)
    assert tuned_plan(model) is None
    remember(model, BEST)
    assert tuned_plan(model) == BEST


@pytest.mark.parametrize(
    "plan",
    [
        {"sessions": 2},
        [],
        {"workers": "2", "threads": 1, "batch_size": 1},
        {"workers": 1, "threads": 1, "batch_size": 0},
    ],
)
def test_a_plan_of_another_form_is_ignored(model, plan):
    remember(model, BEST)
    write_cache("plans.json", dict.fromkeys(read_cache("plans.json"), plan))
    assert tuned_plan(model) is None


def test_every_candidate_is_measured_and_the_fastest_comes_first(model):
    shares = []
    rates = measure(model, [flat(1, 2, 3)] * 5, 0, shares.append)
    assert set(rates) == set(candidates())
    assert list(rates.values()) == sorted(rates.values(), reverse=True)
    # A warm-up and three rounds.
    assert len(shares) == 4 * len(rates)
    assert shares == sorted(shares)
    assert shares[-1] < 1


def test_candidates_span_side_by_side_and_all_cores(monkeypatch):
    monkeypatch.setattr(tuning, "cores", lambda: 4)
    shapes = {(plan.workers, plan.threads) for plan in candidates()}
    assert shapes == {(4, 1), (5, 1), (1, 4), (2, 4)}


def test_an_image_that_cannot_be_read_ends_the_measurement(model):
    with pytest.raises(AllkitError, match=r"none\.png"):
        measure(model, ["none.png"], seconds=0)

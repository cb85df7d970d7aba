import threading

from allkit import Classifier
from allkit.runtime import profile as room
from allkit.runtime.profile import STAGES, Profile
from allkit.runtime.tuning import stage_costs
from models import flat, tiny_model


def test_laps_are_added_up_by_stage_and_thread(monkeypatch):
    times = iter([0.0, 1.0, 3.0, 10.0, 10.5, 100.0, 104.0])
    monkeypatch.setattr(room.time, "perf_counter", lambda: next(times))
    profile = Profile()
    profile.start()
    profile.lap("read")
    profile.lap("infer")
    profile.start()
    profile.lap("read")

    def other():
        profile.start()
        profile.lap("decode")

    thread = threading.Thread(target=other, name="other")
    thread.start()
    thread.join()
    stages = profile.by_thread()
    mine = stages[threading.current_thread().name]
    assert (mine["read"], mine["infer"], mine["decode"]) == (1.5, 2.0, 0.0)
    assert stages["other"]["decode"] == 4.0
    assert tuple(mine) == STAGES


def test_a_classification_is_profiled_from_read_to_write(tmp_path):
    import cv2

    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path in paths:
        cv2.imwrite(str(path), flat(1, 2, 3, 40, 40))
    classifier = Classifier(tiny_model(tmp_path / "m.onnx"), device="cpu", batch_size=2)
    assert len(list(classifier(paths))) == 6
    by_thread = classifier.profile.by_thread()
    own = by_thread.pop(threading.current_thread().name)
    assert all(own[stage] > 0 for stage in ("wait", "post", "write"))
    assert own["infer"] == own["decode"] == 0
    for stage in ("read", "decode", "resize", "infer"):
        assert sum(worker[stage] for worker in by_thread.values()) > 0


def test_stage_costs_are_an_image_each(tmp_path):
    costs = stage_costs(tiny_model(tmp_path / "m.onnx"), [flat(1, 2, 3)] * 10)
    assert set(costs) == {"read", "decode", "resize", "infer"}
    assert costs["infer"] > 0
    assert costs["read"] == costs["decode"] == 0

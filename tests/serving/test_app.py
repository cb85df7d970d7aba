import base64
import json
import threading

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from allkit import AllkitError, Classifier
from allkit.classification.rows import write_jsonl
from allkit.serving import app as room
from allkit.serving.guard import Guard
from allkit.serving.observed import Observed
from models import flat

IMAGE = cv2.imencode(".png", flat(200, 30, 60, 20, 30))[1].tobytes()


@pytest.fixture
def client(server):
    return TestClient(Observed(server, server.figures), raise_server_exceptions=False)


def test_a_row_has_the_names_and_values_of_classify(client, classifier, tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(IMAGE)
    with (tmp_path / "rows.jsonl").open("w") as stream:
        write_jsonl([(path, classifier(path))], classifier.contract.classes, stream)
    expected = json.loads((tmp_path / "rows.jsonl").read_text())
    del expected["path"]
    answer = client.post("/classify", content=IMAGE)
    assert answer.status_code == 200
    assert list(answer.json().items()) == list(expected.items())


def test_an_image_that_cannot_be_read_has_a_row_with_the_reason(client, classifier):
    answer = client.post("/classify", content=b"no image")
    assert answer.status_code == 422
    assert "damaged" in answer.json()["error"]
    assert [answer.json()[name] for name in ("label", *classifier.contract.classes)] == [None] * 4
    assert client.post("/classify").status_code == 422


def test_a_heat_map_is_laid_over_the_image(client):
    answer = client.post("/classify?heatmap=png", content=IMAGE)
    assert answer.headers["content-type"] == "image/png"
    picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    # The central square, with a legend below.
    assert picture.shape[1] == 20
    assert picture.shape[0] > 20
    assert client.post("/classify?heatmap=gif", content=IMAGE).status_code == 400
    assert client.post("/classify?heatmap=png", content=b"no image").status_code == 422


def test_the_page_needs_nothing_from_elsewhere(client, classifier):
    for place, kind in (("/", "text/html"), ("/style.css", "text/css"), ("/script.js", "text/javascript")):
        answer = client.get(place)
        assert answer.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "http" not in answer.text
    assert client.get("/about").json() == {
        "model": classifier.model_path.stem,
        "classes": list(classifier.contract.classes),
        "heatmap": True,
    }


def test_the_protocol_answers_and_refuses(client, classifier):
    model = f"/v2/models/{classifier.model_path.stem}"
    for place in (model, f"{model}/versions/1"):
        assert client.get(place).json()["name"] == classifier.model_path.stem
        assert client.get(f"{place}/ready").status_code == 200
    text = base64.b64encode(IMAGE).decode()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [2], "data": [text, text]}
    answer = client.post(f"{model}/infer", json={"inputs": [tensor], "outputs": [{"name": "label"}]})
    assert answer.json()["outputs"][0]["data"] == [classifier(IMAGE).label] * 2
    bad = client.post(f"{model}/infer", json={"inputs": [{**tensor, "data": [text, "AAAA"]}]})
    assert bad.status_code == 400
    assert "image 1" in bad.json()["error"]
    for length in ("x", "-1", "9" * 5000):
        assert client.post(f"{model}/infer", content=b"{}", headers={room._LENGTH: length}).status_code == 400
    many = {**tensor, "shape": [9], "data": [text] * 9}
    assert client.post(f"{model}/infer", json={"inputs": [many]}).status_code == 413
    assert client.get("/v2/models/other").status_code == 404
    answer = client.get("/classify")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert client.head("/v2").status_code == 200
    assert client.get("/v2/health/live").json() == {"live": True}


def test_readiness_can_be_withdrawn(client, server):
    assert client.get("/v2/health/ready").status_code == 200
    server.ready = False
    assert client.get("/v2/health/ready").status_code == 503
    assert client.get("/v2/health/live").status_code == 200


def test_a_body_is_counted_while_it_arrives(client):
    assert client.post("/classify", content=b"x" * 100_001).status_code == 413

    def without_length():
        for _ in range(200):
            yield b"x" * 1000

    assert client.post("/classify", content=without_length()).status_code == 413


def test_all_bodies_together_have_a_bound(client, server, classifier):
    room_left = 1000
    server._held = server._limits.most_held - room_left
    answer = client.post("/classify", content=b"x" * (room_left + 1))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert client.post("/classify", content=IMAGE).status_code == 200
    # Whatever became of a request, it holds nothing any more.
    for content in (b"x" * 100_001, b"no image"):
        client.post("/classify", content=content)
    client.post(f"/v2/models/{classifier.model_path.stem}/infer", content=b"{")
    assert server._held == server._limits.most_held - room_left


def test_a_full_queue_asks_to_come_back(client, server, classifier, monkeypatch):
    opened = threading.Event()
    run = classifier._model.run
    monkeypatch.setattr(classifier._model, "run", lambda *given: opened.wait(20) and run(*given))
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/classify", content=IMAGE))) for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    threading.Timer(0.5, opened.set).start()
    for thread in threads:
        thread.join(20)
    refused = [answer for answer in answers if answer.status_code == 503]
    # Eight wait and two workers hold at most four each.
    assert len(refused) >= 30 - 8 - 2 * 4
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert {answer.status_code for answer in answers} == {200, 503}


def test_a_failure_of_the_model_is_no_fault_of_the_request(client, classifier, monkeypatch):
    def fail(*_):
        raise AllkitError("out of memory")

    monkeypatch.setattr(classifier._model, "run", fail)
    answer = client.post("/classify", content=IMAGE)
    assert (answer.status_code, answer.json()) == (500, {"error": "out of memory"})


def test_figures_tell_what_was_answered_and_name_nothing(client, classifier):
    for content in (IMAGE, IMAGE, b"no image"):
        client.post("/classify", content=content)
    client.get("/secret-name.jpg")
    text = client.get("/metrics").text
    label = classifier(IMAGE).label
    for line in (
        'allkit_requests_total{route="/classify",status="200"} 2.0',
        'allkit_requests_total{route="/classify",status="422"} 1.0',
        'allkit_requests_total{route="-",status="404"} 1.0',
        f'allkit_images_total{{label="{label}"}} 2.0',
        "allkit_unreadable_images_total 1.0",
        "allkit_waiting_images 0.0",
        'allkit_stage_seconds_count{stage="queue"} 3.0',
    ):
        assert line in text.splitlines(), line
    assert "secret" not in text


def guarded(server, token=None):
    return TestClient(
        Guard(server, {"localhost", "::1", "smears.example.org"}, token), base_url="http://localhost:8000"
    )


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1234", 200),
        ("[::1]:8000", 200),
        ("smears.example.org", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 421),
        ("evil.example:80@localhost", 421),
        ("", 421),
        ("[::1", 421),
    ],
)
def test_foreign_names_are_refused(server, host, status):
    assert guarded(server).get("/v2", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("http://localhost:9000", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_pages_of_other_sites_are_refused(server, origin, status):
    assert guarded(server).get("/v2", headers={"Origin": origin}).status_code == status
    assert "access-control-allow-origin" not in guarded(server).get("/v2").headers


def basic(password):
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("Bearer s3cret:x", 200),
        ("bearer s3cret:x", 200),
        (basic("s3cret:x"), 200),
        (basic("other"), 401),
        ("Bearer s3cret", 401),
        ("Bearer", 401),
        ("Basic %%%", 401),
        ("Basic /w==", 401),
        ("Digest s3cret:x", 401),
        ("", 401),
        (None, 401),
    ],
)
def test_a_token_is_needed_where_there_is_one(server, sent, status):
    client = guarded(server, "s3cret:x")
    answer = client.get("/v2", headers={} if sent is None else {"Authorization": sent})
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/metrics").status_code == 401


def test_a_model_without_heat_map_says_so(tmp_path):
    from models import tiny_model

    server = room.Server(Classifier(tiny_model(tmp_path / "m.onnx"), device="cpu"), room.Limits())
    answer = TestClient(server).post("/classify?heatmap=png", content=IMAGE)
    server.engine.close()
    assert answer.status_code == 400
    assert "--heatmap" in answer.json()["error"]

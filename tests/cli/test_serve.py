"""`allkit serve` as a process, by raw connections: slow senders, lies about lengths, and the end."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import cv2
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

pytest.importorskip("starlette")

from allkit import AllkitError
from allkit.serving.job import ServeOptions
from models import flat, tiny_model

IMAGE = cv2.imencode(".png", flat(200, 30, 60, 20, 30))[1].tobytes()


@pytest.fixture
def process(tmp_path):
    tiny_model(tmp_path / "m.onnx")
    # The patience with headers is a constant: the process is given less.
    code = (
        "import sys\nfrom allkit.serving import patience\npatience.HEADERS_S = 1.0\n"
        "from allkit.cli.main import main\nsys.argv = ['allkit', *sys.argv[1:]]\nmain()\n"
    )
    words = ["serve", "--model", "m.onnx", "--device", "cpu", "--port", "0", "--seconds", "1.5", "--max-mb", "1"]
    made = subprocess.Popen([sys.executable, "-c", code, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    yield made
    made.kill()
    made.communicate()


@pytest.fixture
def address(process):
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stderr.readline())
    return "127.0.0.1", int(found[1])


def connected(address, text=b""):
    connection = socket.create_connection(address, 10)
    connection.settimeout(10)
    connection.sendall(text)
    return connection


def answer(connection):
    """All that comes until the server closes the connection."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def head(address, length, route="/classify"):
    return f"POST {route} HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\nContent-Length: {length}\r\n\r\n".encode()


def test_slow_senders_are_cut_off_and_others_answered_meanwhile(address):
    begin = time.monotonic()
    silent = connected(address)
    slow_head = connected(address, b"POST /classify HTTP/1.1\r\nHost: 127.0")
    slow_body = connected(address, head(address, 1000) + b"x")
    url = f"http://127.0.0.1:{address[1]}/classify"
    with urllib.request.urlopen(urllib.request.Request(url, IMAGE), timeout=10) as told:
        assert json.load(told)["label"]
    for connection in (slow_head, slow_body):
        # A byte now and then is no haste.
        time.sleep(0.4)
        connection.sendall(b"1")
    assert answer(silent) == b""
    assert answer(slow_head) == b""
    assert answer(slow_body).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begin < 8


def test_lengths_are_not_believed(address):
    large = connected(address, head(address, 2**40) + b"x" * 1000)
    # Announced or not, what comes is counted; nothing of that size is allocated.
    with suppress(OSError):
        for _ in range(40):
            large.sendall(b"x" * 65536)
    assert answer(large)[:13] in (b"HTTP/1.1 413 ", b"")
    chunked = connected(
        address,
        f"POST /classify HTTP/1.1\r\nHost: localhost:{address[1]}\r\nTransfer-Encoding: chunked\r\n\r\n".encode(),
    )
    with suppress(OSError):
        for _ in range(40):
            chunked.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    assert answer(chunked)[:13] in (b"HTTP/1.1 413 ", b"")
    for text in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01 no HTTP", b"GET /" + b"a" * 100_000):
        connection = connected(address)
        with suppress(OSError):
            connection.sendall(text)
        assert b" 200 " not in answer(connection)
    fine = connected(address, head(address, len(IMAGE)) + IMAGE)
    assert fine.recv(20).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_goes_away_is_no_error(process, address):
    for sent in (IMAGE[:50], IMAGE):
        for _ in range(5):
            connected(address, head(address, len(IMAGE)) + sent).close()
    fine = connected(address, head(address, len(IMAGE)) + IMAGE)
    assert fine.recv(20).startswith(b"HTTP/1.1 200 ")
    fine.close()
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in told
    assert "POST /classify 499" in told


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGINT])
def test_what_has_begun_is_answered_before_the_end(process, address, ends):
    begun = connected(address, head(address, len(IMAGE)) + IMAGE[:100])
    time.sleep(0.3)
    process.send_signal(ends)
    time.sleep(0.3)
    with pytest.raises(ConnectionRefusedError):
        connected(address)
    begun.sendall(IMAGE[100:])
    assert begun.recv(20).startswith(b"HTTP/1.1 200 ")
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in told
    # No name and no content.
    assert re.search(r"POST /classify 200 [\d.]+ ms", told)


def test_the_client_of_triton_is_answered(address, process):
    client = triton.InferenceServerClient(f"{address[0]}:{address[1]}")
    assert client.is_server_live()
    assert client.is_model_ready("m")
    assert client.get_model_metadata("m")["inputs"][0]["name"] == "image"
    files = triton.InferInput("image", [2], "BYTES")
    files.set_data_from_numpy(np.array([IMAGE, IMAGE], object))
    pixels = triton.InferInput("image", [1, 8, 8, 3], "UINT8")
    # OpenCV writes blue first.
    pixels.set_data_from_numpy(flat(60, 30, 200, 8, 8)[None])
    rows = [client.infer("m", [one]).as_numpy("probabilities") for one in (files, pixels)]
    np.testing.assert_allclose(rows[0], np.repeat(rows[1], 2, 0), atol=1e-6)
    unknown = triton.InferInput("picture", [1], "BYTES")
    unknown.set_data_from_numpy(np.array([IMAGE], object))
    with pytest.raises(InferenceServerException, match="'picture'"):
        client.infer("m", [unknown])
    client.close()


def test_other_machines_need_a_token():
    for host in ("0.0.0.0", "::", "192.0.2.1", "smears.example.org"):
        with pytest.raises(AllkitError, match="give a token"):
            ServeOptions(host)
    assert ServeOptions("0.0.0.0", token="s").host == "0.0.0.0"
    assert "s3cret" not in repr(ServeOptions(token="s3cret"))
    with pytest.raises(AllkitError, match="empty"):
        ServeOptions(token=" ")
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        ServeOptions(host)

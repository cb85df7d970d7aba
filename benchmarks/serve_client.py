"""Callers of `allkit serve` in a process of their own, started by `serve.py`.

Reads the port, the name of the model and the paths as a line of JSON and keeps the files in memory. For each further
line, a job, it sends requests by a number of connections, each of which waits for its answer, and prints the seconds
taken, the seconds of its processor time, the latency of each request in milliseconds and the number of failures.

The callers share the cores with the server, so they are asyncio protocols on uvloop: a request costs one write, one or
two reads and a look at the first line of the answer, whose body nobody parses.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop


class Requests:
    """The bytes of requests with images in turn. Infer requests have the binary tensor extension, both ways."""

    def __init__(self, port: int, model: str, paths: list[str]):
        self.port, self.model = port, model
        self.images = [Path(path).read_bytes() for path in paths]

    def each(self, route: str, images: int) -> Iterator[bytes]:
        """Each image once."""
        for start in range(0, len(self.images), images):
            yield self.request(route, self.images[start : start + images])

    def mixed(self, kinds: list, count: int) -> Iterator[bytes]:
        """So many requests of the kinds [route, number of images] at random, always the same."""
        dice = random.Random(0)
        for _ in range(count):
            route, images = dice.choice(kinds)
            yield self.request(route, dice.choices(self.images, k=images))

    def request(self, route: str, images: list[bytes]) -> bytes:
        if route == "classify":
            return self._post("/classify", images[0])
        data = b"".join(len(image).to_bytes(4, "little") + image for image in images)
        tensor = {"name": "image", "datatype": "BYTES", "shape": [len(images)]}
        tensor["parameters"] = {"binary_data_size": len(data)}
        head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        length = f"Inference-Header-Content-Length: {len(head)}\r\n"
        return self._post(f"/v2/models/{self.model}/infer", head + data, length)

    def _post(self, path: str, body: bytes, more: str = "") -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        return head.encode() + body


class Load:
    """Requests to be sent, and what became of them. failures: answers other than 200, and requests without one."""

    def __init__(self, requests: Iterator[bytes]):
        self._requests = requests
        self.latencies_ms: list[float] = []
        self.failures = 0
        self.exhausted = False

    def next(self) -> bytes | None:
        request = next(self._requests, None)
        self.exhausted = request is None
        return request


class Caller(asyncio.Protocol):
    """A connection that sends the next request as soon as the one before is answered."""

    def __init__(self, load: Load):
        self.load, self.closed = load, asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.request = self.load.next()
        if self.request is None:
            self.transport.close()
            return
        self.answer, self.begin = b"", time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.answer += data
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
            return
        self.load.latencies_ms.append(1000 * (time.perf_counter() - self.begin))
        self.load.failures += not head.startswith(b"HTTP/1.1 200 ")
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self.load.failures += self.request is not None
        self.closed.set_result(None)


async def answer(port: int, load: Load, connections: int) -> None:
    """Send all requests of a load by so many connections."""

    async def keep_calling() -> None:
        # A server may close a connection; whoever has not sent all calls again.
        while not load.exhausted:
            _, caller = await asyncio.get_running_loop().create_connection(lambda: Caller(load), "127.0.0.1", port)
            await caller.closed

    await asyncio.gather(*(keep_calling() for _ in range(connections)))


def main() -> None:
    requests = Requests(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        job = json.loads(line)
        connections = job.pop("connections")
        load = Load(requests.mixed(**job) if "kinds" in job else requests.each(**job))
        begin, cpu = time.perf_counter(), time.process_time()
        uvloop.run(answer(requests.port, load, connections))
        told = {"seconds": time.perf_counter() - begin, "cpu_s": time.process_time() - cpu}
        told |= {"latencies_ms": load.latencies_ms, "failures": load.failures}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()

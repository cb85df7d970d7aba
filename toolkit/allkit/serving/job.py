"""`allkit serve`: a classifier behind HTTP until it is told to stop."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType

import uvicorn

from allkit.errors import AllkitError
from allkit.runtime.classifier import Classifier
from allkit.serving.app import Limits, Server
from allkit.serving.guard import Guard
from allkit.serving.observed import Observed
from allkit.serving.patience import PatientProtocol

# Connections at once; more are told to come back.
_MOST_CONNECTIONS = 512

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class ServeOptions:
    """Where a server listens, and to whom.

    host: an address of this machine; one that others reach needs a token. port: 0 for any that is free. token: what
    callers must send. host_names: further names by which they call the server. limits: of a request and of the queue.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    host_names: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self):
        if self.token is not None and not self.token.strip():
            raise AllkitError("the token is empty: give one that cannot be guessed")
        if self.token is None and not _is_loopback(self.host):
            raise AllkitError(f"{self.host} can be reached from other machines: give a token, or listen on 127.0.0.1")


def serve(classifier: Classifier, options: ServeOptions, begun: Callable[[str], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C, then finish those that have begun.

    begun: called with the address once the server listens. Raises AllkitError where it cannot.
    """
    server = Server(classifier, options.limits)
    names = {*_LOOPBACK_NAMES, options.host, *options.host_names}
    app = Observed(Guard(server, names, options.token), server.figures)
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=round(options.limits.answer_s) + 1,
    )
    process = _Process(config, server, begun)
    try:
        process.run()
    except SystemExit as error:
        raise AllkitError(f"cannot listen on {options.host}:{options.port}: give another --port") from error
    finally:
        server.engine.close()


class _Process(uvicorn.Server):
    """uvicorn's server, which ends in order where a signal asks it to, and says when it listens."""

    def __init__(self, config: uvicorn.Config, server: Server, begun: Callable[[str], None]):
        super().__init__(config)
        self._server, self._begun = server, begun

    async def startup(self, sockets: list | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._begun(f"http://{f'[{host}]' if ':' in host else host}:{port}/")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._server.ready = False
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            # Otherwise it would raise them again, and the exit status be that of a failure.
            self._captured_signals.clear()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""What a server refuses before it looks at a request: foreign names, foreign pages, and who has no token."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# For whoever restarts a server that does not answer; they say nothing of images or of the model.
OPEN_PATHS = frozenset({"/v2/health/live", "/v2/health/ready"})


class Guard:
    """ASGI middleware in front of an application.

    host_names: names by which the server may be called. A page of another site can make a browser call a server on its
    own machine, by a name that resolves to it (DNS rebinding); the browser then says that name. token: what a caller
    must send as `Authorization: Bearer TOKEN`, or as the password of `Basic`, which browsers ask for; None for no one.
    """

    def __init__(self, app: ASGIApp, host_names: Collection[str], token: str | None):
        self._app, self._host_names, self._token = app, frozenset(map(str.lower, host_names)), token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if refusal := self._refusal(scope["path"], headers):
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> JSONResponse | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name(hosts[0]) not in self._host_names:
            return _refused(421, "this server has another name: see --host-name")
        origin = headers.get("origin")
        # A browser says `null` for a page that hides where it is from.
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            return _refused(403, "a page of another site must not use this server")
        if self._token is None or path in OPEN_PATHS:
            return None
        if secrets.compare_digest(_sent_token(headers.get("authorization", "")).encode(), self._token.encode()):
            return None
        return _refused(401, "a token is needed", {"WWW-Authenticate": 'Basic realm="allkit", charset="UTF-8"'})


def _refused(status: int, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": words}, status, {"Connection": "close", **(headers or {})})


def _name(host: str) -> str | None:
    """The name in a Host header, without its port; None where it is malformed."""
    if "@" in host:
        return None
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _sent_token(authorization: str) -> str:
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""

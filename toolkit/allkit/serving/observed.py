"""A line and a count for every request, without anything that is in it."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from allkit.serving.figures import Figures

LOG = logging.getLogger("allkit.serve")

# What has no route is not named: its path may be a file name.
_NO_ROUTE = "-"


class Observed:
    """ASGI middleware that counts requests in `figures` and logs method, route, status and milliseconds."""

    def __init__(self, app: ASGIApp, figures: Figures):
        self._app, self._figures = app, figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # 499 as in nginx: the client has gone.
        begin, status = time.perf_counter(), 499

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - begin
            route = scope.get("route", _NO_ROUTE)
            self._figures.request(route, status, seconds)
            LOG.info("%s %s %d %.1f ms", scope["method"], route, status, 1000 * seconds)

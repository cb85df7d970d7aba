"""The routes of a server: images in, rows out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
import cv2
import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from allkit.classification.rows import optional_columns, row_of
from allkit.errors import AllkitError
from allkit.model.card import model_card
from allkit.runtime.classifier import Classifier, Prediction
from allkit.runtime.evidence import load_square, overlay, share_covered, with_legend
from allkit.serving.engine import Engine, Late, Overloaded
from allkit.serving.figures import Figures
from allkit.serving.protocol import metadata, parse_request, response

_LENGTH = "Inference-Header-Content-Length"
_TRY_AGAIN = (Overloaded, Late)
_Route = Callable[[Request], Awaitable[Response]]
# Seconds until a client is watched: one that goes away earlier is answered in vain.
_SOON_S = 0.1
# Of a length; Python reads no number of thousands.
_MOST_DIGITS = 16

_PAGE_FOLDER = Path(__file__).with_name("page")
_PAGE = {"/": "index.html", "/style.css": "style.css", "/script.js": "script.js"}
# The page needs nothing from elsewhere, and no other page may contain it. Styles: the width of a bar.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class Limits:
    """most_bytes: of a body. most_held: bytes of all bodies that are not answered yet. upload_s: seconds in which a
    body must arrive. answer_s: seconds until an image must be answered. most_waiting: images in the queue."""

    most_bytes: int = 64 * 2**20
    most_held: int = 512 * 2**20
    upload_s: float = 30.0
    answer_s: float = 30.0
    most_waiting: int = 256


class Server:
    """The routes over a classifier. figures: what is counted. engine: the queue; `ready` can be set to False."""

    def __init__(self, classifier: Classifier, limits: Limits):
        self._classifier, self._limits = classifier, limits
        self.figures = Figures(classifier.contract.classes)
        self.engine = Engine(classifier, limits.most_waiting, self.figures.batch)
        self.ready = True
        self._held = 0
        self._name = classifier.model_path.stem
        # No path has a parameter, so that a look-up is all the routing that is needed.
        self._routes: dict[str, dict[str, _Route]] = {
            **{place: {"GET": _page_file(name)} for place, name in _PAGE.items()},
            "/about": {"GET": self._page_facts},
            "/classify": {"POST": self._classify},
            "/card": {"GET": self._card},
            "/metrics": {"GET": self._metrics},
            "/v2": {"GET": self._about},
            "/v2/health/live": {"GET": self._live},
            "/v2/health/ready": {"GET": self._health},
        }
        for place in (f"/v2/models/{self._name}", f"/v2/models/{self._name}/versions/1"):
            self._routes |= {
                place: {"GET": self._metadata},
                f"{place}/ready": {"GET": self._health},
                f"{place}/infer": {"POST": self._infer},
            }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI). `scope["route"]` is its path where there is a route."""
        try:
            response = await self._found(scope)(Request(scope, receive))
        except (AllkitError, HTTPException, ClientDisconnect) as error:
            response = _told(error)
        await response(scope, receive, send)

    def _found(self, scope: Scope) -> _Route:
        methods = self._routes.get(scope["path"])
        if methods is None:
            raise HTTPException(404)
        scope["route"] = scope["path"]
        # uvicorn leaves the body of the answer to HEAD out.
        route = methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if route is None:
            raise HTTPException(405, headers={"Allow": ", ".join(methods)})
        return route

    async def _page_facts(self, request: Request) -> Response:
        contract = self._classifier.contract
        return JSONResponse(
            {"model": self._name, "classes": list(contract.classes), "heatmap": contract.heatmap is not None}
        )

    async def _classify(self, request: Request) -> Response:
        wanted = request.query_params.get("heatmap")
        if wanted not in (None, "png"):
            raise HTTPException(400, f"there is no heat map as {wanted!r}: ask for heatmap=png")
        if wanted and self._classifier.contract.heatmap is None:
            raise HTTPException(400, f"{self._name} has no heat map: export it with --heatmap")
        async with self._body(request) as image:
            (prediction,) = await self._answers(request, [image], heatmap=wanted is not None)
            if wanted and prediction.error is None:
                picture = await anyio.to_thread.run_sync(self._overlay, image, prediction)
                return Response(picture, media_type="image/png")
        row = row_of(prediction, self._classifier.contract.classes, optional_columns(self._classifier))
        return JSONResponse(row, 200 if prediction.error is None else 422)

    async def _infer(self, request: Request) -> Response:
        length = request.headers.get(_LENGTH)
        if length is not None and not (length.isdecimal() and len(length) < _MOST_DIGITS):
            raise HTTPException(400, f"{_LENGTH} is {length!r}, no number of bytes")
        contract = self._classifier.contract
        async with self._body(request) as body:
            asked = await anyio.to_thread.run_sync(parse_request, body, int(length) if length else None, contract)
            if len(asked.images) > self._limits.most_waiting:
                raise HTTPException(413, f"send at most {self._limits.most_waiting} images at once")
            predictions = await self._answers(request, asked.images)
        text, json_length = response(asked, predictions, contract, self._name)
        if json_length is None:
            return Response(text, media_type="application/json")
        return Response(text, headers={_LENGTH: str(json_length)}, media_type="application/octet-stream")

    @asynccontextmanager
    async def _body(self, request: Request) -> AsyncIterator[bytes]:
        """The body, counted while it arrives: a length that is announced need not be true."""
        parts, count, limits = [], 0, self._limits
        try:
            try:
                async with asyncio.timeout(limits.upload_s):
                    async for part in request.stream():
                        count += len(part)
                        self._held += len(part)
                        if count > limits.most_bytes:
                            raise HTTPException(413, f"the body is larger than {limits.most_bytes // 2**20} MiB")
                        if self._held > limits.most_held:
                            raise Overloaded("too much is arriving at the moment: try again in a moment")
                        parts.append(part)
            except TimeoutError as error:
                raise HTTPException(408, f"the body did not arrive within {limits.upload_s:g} s") from error
            yield b"".join(parts)
        finally:
            self._held -= count

    async def _answers(
        self, request: Request, images: Sequence[bytes | np.ndarray], heatmap: bool = False
    ) -> list[Prediction]:
        """The predictions; images of a client that goes away are taken out of the queue."""
        futures = self.engine.submit(images, self._limits.answer_s, heatmap)
        answers = _together(futures)
        gone = None
        try:
            # Most answers come at once, and watching a client would cost a part of that time.
            await asyncio.wait({answers}, timeout=min(_SOON_S, self._limits.answer_s))
            if not answers.done():
                # After the body a client has nothing to say but that it is gone.
                gone = asyncio.ensure_future(request.receive())
                await asyncio.wait({answers, gone}, timeout=self._limits.answer_s, return_when=asyncio.FIRST_COMPLETED)
            if answers.done():
                return _result(answers)
            if gone.done():
                raise ClientDisconnect
            raise Late(f"no answer within {self._limits.answer_s:g} s: try again in a moment")
        finally:
            if gone:
                gone.cancel()
            answers.cancel()
            for future in futures:
                future.cancel()

    def _overlay(self, image: bytes, prediction: Prediction) -> bytes:
        contract = self._classifier.contract
        square = load_square(image, contract, self._classifier.bits)
        drawn = overlay(square, prediction.heatmap, share_covered(contract))
        return cv2.imencode(".png", with_legend(drawn, prediction.label)[..., ::-1])[1].tobytes()

    async def _card(self, request: Request) -> Response:
        card = model_card(self._classifier.model_path, self._classifier.contract)
        return PlainTextResponse(card, media_type="text/markdown")

    async def _metrics(self, request: Request) -> Response:
        return Response(self.figures.text(self.engine.waiting), media_type="text/plain; version=0.0.4")

    async def _about(self, request: Request) -> Response:
        return JSONResponse({"name": "allkit", "version": "2", "extensions": ["binary_tensor_data"]})

    async def _live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"ready": self.ready}, 200 if self.ready else 503)

    async def _metadata(self, request: Request) -> Response:
        return JSONResponse(metadata(self._classifier.contract, self._name))


def _page_file(name: str) -> _Route:
    async def send(request: Request) -> Response:
        return FileResponse(_PAGE_FOLDER / name, headers=_PAGE_HEADERS)

    return send


def _together(futures: Sequence[Future[Prediction]]) -> asyncio.Future[list[Prediction]]:
    """The results of all, which wake the event loop once and not one by one."""
    loop = asyncio.get_running_loop()
    answers, done = loop.create_future(), itertools.count(1)

    def end() -> None:
        if answers.done():
            return
        try:
            answers.set_result([future.result() for future in futures])
        except Exception as error:
            answers.set_exception(error)

    def one_done(_: Future[Prediction]) -> None:
        if next(done) == len(futures) and not loop.is_closed():
            loop.call_soon_threadsafe(end)

    for future in futures:
        future.add_done_callback(one_done)
    if not futures:
        end()
    return answers


def _result(answers: asyncio.Future[list[Prediction]]) -> list[Prediction]:
    try:
        return answers.result()
    except _TRY_AGAIN:
        raise
    except AllkitError as error:
        # The model failed, not the request.
        raise HTTPException(500, str(error)) from error


def _told(error: AllkitError | HTTPException | ClientDisconnect) -> Response:
    if isinstance(error, ClientDisconnect):
        # Nobody reads it; the status is for the log, and that of nginx.
        return Response(status_code=499)
    if isinstance(error, HTTPException):
        # What is left of the body is not read.
        headers = {"Connection": "close", **(error.headers or {})}
        return JSONResponse({"error": error.detail}, error.status_code, headers)
    if isinstance(error, _TRY_AGAIN):
        return JSONResponse({"error": str(error)}, 503, {"Retry-After": "1"})
    return JSONResponse({"error": str(error)}, 400)

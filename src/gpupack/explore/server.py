"""What the page can ask of its server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import gpupack
from gpupack.explore.assets import asset_names, read_asset
from gpupack.explore.data_sets import DataSet, DataSets
from gpupack.explore.guard import Guard
from gpupack.explore.jobs import (
    AskJob,
    FrontierJob,
    LoadedSource,
    Pinned,
    ReadJob,
    WriteJob,
)
from gpupack.explore.telling import request_fields
from gpupack.explore.views import Views
from gpupack.explore.workers import Event, WorkerPool

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest
    from starlette.types import ASGIApp

    from gpupack.explore.workers import Job

GONE = "these profiles are not here any more: drop the file again"
_FILES = {
    "placement": ("application/json", "placement.json"),
    "report": ("text/html; charset=utf-8", "report.html"),
}


class _RefusedError(Exception):
    """Something that the page never sends; ``status`` is HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Start:
    """What a page starts with.

    Args:
        loaded: The profiles.
        request: What is asked first, as JSON that holds what differs from the defaults.
        is_read_only: Whether the page shows and does not ask.
    """

    loaded: LoadedSource
    request: str
    is_read_only: bool = False


def create_app(
    start: Start,
    *,
    token: str,
    port: int,
    on_start: Callable[[], None] = lambda: None,
) -> ASGIApp:
    """Return the application behind its guard.

    Args:
        start: What a page starts with.
        token: The first part of every path.
        port: Where it will listen.
        on_start: Called once the server is about to answer.
    """
    data_sets = DataSets(start.loaded)
    pool = WorkerPool(data_sets.pickled)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        pool.start()
        try:
            on_start()
            yield
        finally:
            pool.close()

    server = _Server(start, data_sets, pool)
    app = Starlette(routes=server.routes, lifespan=lifespan)
    app.state.pool = pool
    return Guard(app, token=token, port=port)


class _Server:
    def __init__(self, start: Start, data_sets: DataSets, pool: WorkerPool) -> None:
        self._start = start
        self._data_sets = data_sets
        self._pool = pool
        self._views = Views()

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/", self._page),
            Route("/assets/{name:path}", self._asset),
            Route("/api/start", self._first),
            Route("/api/alive", self._alive),
            Route("/api/ask", _refusing(self._ask), methods=["POST"]),
            Route("/api/cancel", _refusing(self._cancel), methods=["POST"]),
            Route("/api/map", _refusing(self._map), methods=["POST"]),
            Route("/api/write", _refusing(self._write), methods=["POST"]),
            Route("/api/read", _refusing(self._read), methods=["POST"]),
        ]

    async def _page(self, request: HttpRequest) -> Response:
        return Response(read_asset("index.html"), media_type="text/html")

    async def _asset(self, request: HttpRequest) -> Response:
        name = request.path_params["name"]
        media_type = asset_names().get(name)
        if media_type is None:
            return JSONResponse({"message": "there is no such file"}, 404)
        return Response(read_asset(name), media_type=media_type)

    async def _alive(self, request: HttpRequest) -> Response:
        return JSONResponse({"busy": self._pool.num_busy})

    async def _first(self, request: HttpRequest) -> Response:
        loaded = self._start.loaded
        return JSONResponse(
            {
                "version": gpupack.__version__,
                "is_read_only": self._start.is_read_only,
                "source": loaded.view.model_dump(mode="json"),
                "beside": None if loaded.beside is None else json.loads(loaded.beside),
                "request": json.loads(self._start.request),
                "fields": request_fields().model_dump(mode="json"),
            }
        )

    async def _ask(self, request: HttpRequest) -> Response:
        given = await _json(request)
        view = self._views.of(_text(given, "view"))
        data_id = _text(given, "data")
        data = self._data(data_id)
        pinned = None
        if given.get("pinned") is not None:
            pinned = self._pinned(view.answers, given["pinned"])

        def job() -> Job:
            asked = json.dumps(given.get("request", {}))
            return AskJob(data_id, asked, data.words, data.beside, pinned)

        async def events() -> AsyncIterator[ServerSentEvent]:
            async with aclosing(view.ask("question", self._pool, job)) as found:
                async for event in found:
                    of = (
                        pinned.data_id if event.name == "pinned" and pinned else data_id
                    )
                    yield _sent(
                        event, view.keep(of, event.kept) if event.kept else None
                    )

        return EventSourceResponse(events())

    def _pinned(self, answers: Any, given: Any) -> Pinned:
        if not isinstance(given, dict):
            raise _RefusedError("pinned is no object")
        data_id = _text(given, "data")
        self._data(data_id)
        answer = answers.get(given.get("answer"))
        return Pinned(
            data_id,
            json.dumps(given.get("request", {})),
            None if answer is None else answer.placement,
        )

    async def _cancel(self, request: HttpRequest) -> Response:
        given = await _json(request)
        slot = _text(given, "slot")
        if slot not in ("question", "map"):
            raise _RefusedError("there is no such slot")
        self._views.of(_text(given, "view")).cancel(slot)
        return JSONResponse({})

    async def _map(self, request: HttpRequest) -> Response:
        given = await _json(request)
        view = self._views.of(_text(given, "view"))
        data_id = _text(given, "data")
        self._data(data_id)
        by = "price" if given.get("by") == "price" else "gpus"

        def job() -> Job:
            return FrontierJob(data_id, json.dumps(given.get("request", {})), by)

        async def events() -> AsyncIterator[ServerSentEvent]:
            async with aclosing(view.ask("map", self._pool, job)) as found:
                async for event in found:
                    yield _sent(event, None)

        return EventSourceResponse(events())

    async def _write(self, request: HttpRequest) -> Response:
        given = await _json(request)
        view = self._views.of(_text(given, "view"))
        what = _text(given, "what")
        if what not in _FILES:
            raise _RefusedError("there is no such file")
        names = [given.get("pinned"), given.get("answer")]
        answers = [view.answers.get(one) for one in names if isinstance(one, str)]
        kept = [(one.data_id, one.placement) for one in answers if one is not None]
        if not kept or len(kept) < len(answers):
            raise _RefusedError("this answer is not here any more: ask again", 410)
        for data_id, _ in kept:
            self._data(data_id)
        job = WriteJob("report" if what == "report" else "placement", tuple(kept))
        message = "nothing was written"
        async for event in self._pool.run(job):
            if event.name == "file" and event.kept is not None:
                media_type, name = _FILES[what]
                return Response(
                    event.kept,
                    media_type=media_type,
                    headers={"content-disposition": f'attachment; filename="{name}"'},
                )
            message = json.loads(event.text).get("message", message)
        raise _RefusedError(message, 500)

    async def _read(self, request: HttpRequest) -> Response:
        if self._start.is_read_only:
            raise _RefusedError("this page was opened to be shown: --read-only", 403)
        name = request.query_params.get("name", "dropped")
        content = await request.body()
        message = "it could not be read"
        async for event in self._pool.run(ReadJob(name, content)):
            told = json.loads(event.text)
            if event.name == "request":
                return JSONResponse({"request": told})
            if event.name == "source" and event.kept is not None:
                beside = told["beside"]
                data = DataSet(
                    event.kept,
                    tuple(told["words"]),
                    None if beside is None else json.dumps(beside),
                )
                self._data_sets.add(told["view"]["data_id"], data)
                return JSONResponse({"source": told["view"], "beside": beside})
            message = told.get("message", message)
        return JSONResponse({"message": message}, 422)

    def _data(self, data_id: str) -> DataSet:
        data = self._data_sets.find(data_id)
        if data is None:
            raise _RefusedError(GONE, 410)
        return data


def _sent(event: Event, answer_id: str | None) -> ServerSentEvent:
    # The id of an answer by which the page may name it later.
    return ServerSentEvent(data=event.text, event=event.name, id=answer_id, sep="\n")


def _refusing(
    handler: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], Any]:
    """Return a handler that tells the page what it did wrong."""

    async def handle(request: HttpRequest) -> Response:
        try:
            answered: Response = await handler(request)
        except _RefusedError as err:
            return JSONResponse({"message": str(err)}, err.status)
        return answered

    return handle


async def _json(request: HttpRequest) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # What a form of another page could send.
        raise _RefusedError("a question is JSON (Content-Type: application/json)", 415)
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError) as err:
        raise _RefusedError(f"this is no JSON: {err}") from err
    if not isinstance(given, dict):
        raise _RefusedError("a question is an object")
    return given


def _text(given: dict[str, Any], key: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 100:
        raise _RefusedError(f"{key} is missing, or no text of at most 100 letters")
    return value

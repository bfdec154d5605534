"""The routes: each one checks what came, hands the work to the compute thread, and answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from filterscope.explorer.boxes import MEDIA_TYPE
from filterscope.explorer.errors import ExplorerError
from filterscope.explorer.labels import open_label, open_labels, open_votes, probe_label
from filterscope.explorer.security import Access, Application, Guard
from filterscope.explorer.session import Session, View
from filterscope.explorer.settings import Limits
from filterscope.explorer.uploads import check_bytes
from filterscope.explorer.views import Colour, Side, open_pictures, probe_pictures

_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript",
          ".svg": "image/svg+xml"}  # fmt: skip
_CHECK_SECONDS = 0.25
_LARGEST = 100_000
# files in memory at once, as sent and being decoded, where 24 million pixels take up to 0.7 GB
_READERS, _DECODERS = 32, 2
_UPLOAD_SECONDS = 60

Id = Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]+$", max_length=80)]
Position = Annotated[int, Query(ge=0, le=_LARGEST)]
Client = Annotated[
    str,
    Header(
        alias="X-Filterscope-Client",
        pattern=r"^[A-Za-z0-9_-]{8,64}$",
        description="Made up by the client; a later request replaces one of the same kind.",
    ),
]


class Boxes(Response):
    """Pictures as float32 boxes; see `filterscope.explorer.boxes`."""

    media_type = MEDIA_TYPE


def create_app(session: Session, access: Access | None = None) -> Application:
    """The web application of an explorer.

    Args:
        session: What is explored.
        access: Where it listens and who may ask; None for this machine, port 8765.

    Returns:
        An ASGI application. It closes the session when it ends.
    """
    return Guard(create_routes(session), access or Access())


def create_routes(session: Session) -> FastAPI:
    """The routes alone, without the checks of who asks."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(session.close)

    app = FastAPI(
        title="filterscope explorer",
        docs_url=None,  # its pages come from another site
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    _add_errors(app)
    _add_page(app)
    _add_pictures(app, session)
    _add_views(app, session)
    return app


def _add_page(app: FastAPI) -> None:
    """Serve the page's own files, read once; what a client asks for is looked up among them."""
    files = {
        entry.name: (entry.read_bytes(), _KINDS[suffix])
        for entry in resources.files("filterscope.explorer").joinpath("static").iterdir()
        if (suffix := "." + entry.name.rpartition(".")[2]) in _KINDS
    }

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return Response(files["index.html"][0], media_type="text/html")

    @app.get("/static/{name}", include_in_schema=False)
    def file(name: str) -> Response:
        if name not in files:
            raise ExplorerError(404, "unknown", "the page has no such file")
        content, kind = files[name]
        return Response(content, media_type=kind)


def _add_pictures(app: FastAPI, session: Session) -> None:
    readers, decoders = asyncio.Semaphore(_READERS), asyncio.Semaphore(_DECODERS)

    @app.get("/api/state")
    def state(client: Client) -> dict[str, Any]:
        """Networks, pictures and limits."""
        return session.to_dict()

    @app.post("/api/images", status_code=201, openapi_extra=_UPLOAD)
    async def upload(
        request: Request, client: Client, name: Annotated[str, Query(max_length=300)] = ""
    ) -> dict[str, Any]:
        """Upload an image file as the body of the request."""
        told = request.headers.get("content-length", "")
        if told.isascii() and told.isdigit():
            check_bytes(int(told[:18]), session.limits)
        if readers.locked():  # waiting for slow clients would make everybody slow
            raise ExplorerError(429, "busy", f"{_READERS} uploads are under way; try again later")
        async with readers:
            content = await _body(request, session.limits)
            async with decoders:
                picture = await run_in_threadpool(session.upload, content, name)
        return picture.to_dict()


async def _body(request: Request, limits: Limits) -> bytes:
    """The body of a request, read no further than is allowed, and not for ever."""
    content = bytearray()
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            async for part in request.stream():
                content += part
                check_bytes(len(content), limits)
    except TimeoutError:
        raise ExplorerError(408, "slow", "the upload took too long") from None
    except ClientDisconnect:
        raise ExplorerError(400, "gone", "the upload was broken off") from None
    return bytes(content)


async def _answer(
    session: Session,
    request: Request,
    client: str,
    kind: str,
    network: str,
    image: str,
    view: View,
) -> Boxes:
    """Let the session compute a view, unless the client goes away meanwhile."""
    job = session.submit(client, kind, network, image, view)
    future = asyncio.wrap_future(job.future)
    while not (await asyncio.wait([future], timeout=_CHECK_SECONDS))[0]:
        if await request.is_disconnected():
            session.worker.forget(job)
    return Boxes(await future)


def _gives_pictures(session: Session, network: str, kind: str) -> bool:
    """Whether a network gives pictures; refuses one of another kind than asked for."""
    subject = session.subject(network)
    if kind not in (subject.kind, "any"):
        raise ExplorerError(
            422, "network", f"{subject.name} gives {subject.kind}; this view is for {kind}"
        )
    return subject.kind == "pictures"


def _add_views(app: FastAPI, session: Session) -> None:
    answer, gives_pictures = partial(_answer, session), partial(_gives_pictures, session)

    @app.get("/api/open", response_class=Boxes)
    async def open_(request: Request, client: Client, network: Id, image: Id) -> Response:
        """What a network makes of a picture."""
        view = open_pictures if gives_pictures(network, "any") else open_labels
        return await answer(request, client, "open", network, image, view)

    @app.get("/api/probe", response_class=Boxes)
    async def probe(
        request: Request,
        client: Client,
        network: Id,
        image: Id,
        row: Position,
        column: Position,
        side: Side = "input",
        colour: Colour = "white",
    ) -> Response:
        """The column of an input pixel and the row of an output pixel."""
        place = (row, column)
        view: View = partial(probe_pictures, side=side, position=place, colour=colour)
        if not gives_pictures(network, "any"):
            if side != "input" or colour != "white":
                raise ExplorerError(
                    422, "side", "of a classifier only white pixels of the input are probed"
                )
            view = partial(probe_label, position=place)
        return await answer(request, client, "probe", network, image, view)

    @app.get("/api/label", response_class=Boxes)
    async def label(
        request: Request,
        client: Client,
        network: Id,
        image: Id,
        label: Annotated[int, Query(ge=0, le=_LARGEST)],
    ) -> Response:
        """A label's row, discussion, contributions and filters."""
        gives_pictures(network, "labels")
        return await answer(
            request, client, "label", network, image, partial(open_label, label=label)
        )

    @app.get("/api/votes", response_class=Boxes)
    async def votes(request: Request, client: Client, network: Id, image: Id) -> Response:
        """The label that each pixel votes for."""
        gives_pictures(network, "labels")
        return await answer(request, client, "votes", network, image, open_votes)


def _add_errors(app: FastAPI) -> None:
    """Every error is JSON with a message."""

    @app.exception_handler(ExplorerError)
    async def refused(_: Request, error: ExplorerError) -> Response:
        return JSONResponse(error.to_dict(), error.status)

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        told = ExplorerError(error.status_code, "request", str(error.detail))
        return JSONResponse(told.to_dict(), error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        parts = [f"`{item['loc'][-1]}`: {item['msg']}" for item in error.errors()]
        told = ExplorerError(422, "request", "; ".join(parts))
        return JSONResponse(told.to_dict(), 422)

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:
        told = ExplorerError(500, "server", f"the server failed: {type(error).__name__}")
        return JSONResponse(told.to_dict(), 500)


_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

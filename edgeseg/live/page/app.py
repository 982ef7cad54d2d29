"""The addresses of the page.

/                      the page
/ws                    the WebSocket that the browser pulls from (feed.py)
/health                200 or 503 (health.py); details only for who has the token
/health?live           the same of the engine alone, whatever the cameras do: for what restarts the process
/metrics               for Prometheus (metrics.py)
/snapshot/NAME.jpg     the newest overlay of a stream; 404 for an unknown name, 503 before the first frame
/api/status            engine, classes, temperatures and the status of each stream as JSON
/api/events            the last events as JSON
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from importlib import resources

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from edgeseg.live.metrics import LiveMetrics
from edgeseg.live.page.feed import Feed, status_from_view
from edgeseg.live.page.guard import Guard
from edgeseg.live.page.health import HealthCheck
from edgeseg.live.page.images import snapshot_from_result
from edgeseg.live.page.workers import Workers
from edgeseg.live.status import LiveView
from edgeseg.measure.device import package_version

LOG = logging.getLogger(__name__)

OBSERVE_SECONDS = 2.0
STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("edgeseg.live.page"), autoescape=True, undefined=jinja2.StrictUndefined
)


class Page:
    """The answers to each address."""

    def __init__(self, view: LiveView, workers: Workers, clock: Callable[[], float]) -> None:
        self._view = view
        self._workers = workers
        self._metrics = LiveMetrics(view)
        self._health = HealthCheck(view, self._metrics, clock)
        self._feed = Feed(view, workers, clock)
        folder = resources.files(__package__) / "static"
        self._static = {name: (folder / name).read_bytes() for name in STATIC}
        self._version = package_version("edgeseg")

    def routes(self) -> list[Route | WebSocketRoute]:
        """The table of addresses."""
        return [
            Route("/", self.index),
            Route("/static/{name}", self.static),
            Route("/favicon.ico", self.icon),
            WebSocketRoute("/ws", self._feed.serve),
            Route("/health", self.health),
            Route("/metrics", self.metrics),
            Route("/snapshot/{name:path}", self.snapshot),
            Route("/api/status", self.status),
            Route("/api/events", self.events),
        ]

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Observe the engine all the time: `/health` must know for how long it has been silent."""
        task = asyncio.create_task(self._observe())
        yield
        task.cancel()

    async def _observe(self) -> None:
        while True:
            try:
                self._health.observe()
            except Exception:  # of the view; the next look may succeed
                LOG.exception("the page cannot read the status")
            await asyncio.sleep(OBSERVE_SECONDS)

    async def index(self, request: Request) -> Response:
        """The page."""
        view = self._view
        classes = [{"name": name, "color": list(color)} for name, color in view.labels.colors().items()]
        page = TEMPLATES.get_template("page.html")
        return HTMLResponse(page.render(engine=view.engine, classes=classes, version=self._version))

    def entrance(self) -> Response:
        """The page that asks for the token."""
        return HTMLResponse(TEMPLATES.get_template("token.html").render(version=self._version), status_code=401)

    async def static(self, request: Request) -> Response:
        """A file of the page."""
        name = request.path_params["name"]
        if name not in STATIC:
            return JSONResponse({"error": "not found"}, status_code=404)
        return Response(self._static[name], media_type=STATIC[name], headers={"Cache-Control": "no-cache"})

    async def icon(self, request: Request) -> Response:
        """The icon, where browsers look for one that no page names."""
        return Response(self._static["icon.svg"], media_type=STATIC["icon.svg"])

    async def health(self, request: Request) -> Response:
        """200 or 503; see health.py. `?live` asks for the engine alone."""
        health = self._health.observe(cameras="live" not in request.query_params)
        answer = health.to_dict()
        if not request.scope["trusted"]:
            answer = {"status": answer["status"]}
        return JSONResponse(answer, status_code=200 if health.ok else 503)

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        text, content_type = self._metrics.exposition(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    async def snapshot(self, request: Request) -> Response:
        """The newest overlay of a stream as JPEG, as large as its frame."""
        name = request.path_params["name"].removesuffix(".jpg")
        if name not in [status.name for status in self._view.statuses()]:
            return JSONResponse({"error": f"no stream is called {name}"}, status_code=404)
        result = self._view.latest(name)
        if result is None:
            return JSONResponse({"error": f"{name} has no frame yet"}, status_code=503)
        jpeg = await asyncio.wrap_future(self._workers.submit(snapshot_from_result, result))
        return Response(jpeg, media_type="image/jpeg")

    async def status(self, request: Request) -> Response:
        """The status of everything."""
        labels = [{"name": name, "color": list(color)} for name, color in self._view.labels.colors().items()]
        return JSONResponse(status_from_view(self._view) | {"labels": labels})

    async def events(self, request: Request) -> Response:
        """The last events, oldest first."""
        return JSONResponse([event.to_dict() for event in self._view.events()])


def app_from_view(
    view: LiveView,
    workers: Workers,
    *,
    token: str = "",
    cookie: str = "edgeseg",
    clock: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """The page as an ASGI application. token, cookie: see guard.py; "" for no token."""
    page = Page(view, workers, clock)
    app = Starlette(routes=page.routes(), lifespan=page.lifespan)
    return Guard(app, token=token, cookie=cookie, entrance=page.entrance)

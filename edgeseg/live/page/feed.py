"""The WebSocket that the browser pulls from.

The browser sends `{"want": [names], "width": pixels, "events": false}`. The server answers as soon as one of these
streams has a new result or the status has changed, and after WAIT_SECONDS in any case: a text
`{"status": {...} or null, "events": [...] or null, "frames": n}`, then n binary messages (see images.py). Nothing is
encoded or sent before the browser asks again, so that a slow one gets fewer frames, and none are queued for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from edgeseg.live.page.images import WIDTH, Key, key_of, message_from_result, nearest_width
from edgeseg.live.page.workers import Workers
from edgeseg.live.status import LiveView
from edgeseg.measure.temperature import temperatures
from edgeseg.video.result import Result

LOG = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
LOOK_SECONDS = 0.015  # between two looks for a new result
STATUS_SECONDS = 0.5  # between two statuses
EVENTS = 30


@dataclass(frozen=True)
class Pull:
    """One request of the browser."""

    want: tuple[str, ...]
    width: int
    events: bool

    @classmethod
    def from_text(cls, text: str) -> Pull:
        """ValueError where the text is not such a request."""
        request = json.loads(text)
        if not isinstance(request, dict):
            raise ValueError("not an object")
        want, width = request.get("want", []), request.get("width", WIDTH)
        if not isinstance(want, list) or not all(isinstance(name, str) for name in want):
            raise ValueError("want is not a list of names")
        if isinstance(width, bool) or not isinstance(width, (int, float)):
            raise ValueError("width is not a number")
        return cls(tuple(dict.fromkeys(want)), nearest_width(width), request.get("events") is True)


class Encoder:
    """Encodes each result once for each width, however many clients ask. Used from the event loop only."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._newest: dict[tuple[str, int], tuple[Key, asyncio.Future[bytes]]] = {}

    async def message(self, stream: str, result: Result, width: int) -> bytes:
        """The message for the browser."""
        key = key_of(result)
        known, future = self._newest.get((stream, width), (None, None))
        if future is None or known != key or (future.done() and future.exception() is not None):
            future = asyncio.wrap_future(self._workers.submit(message_from_result, stream, result, width))
            self._newest[stream, width] = key, future
        return await asyncio.shield(future)


class Status:
    """The status of all streams as plain data, read at most every STATUS_SECONDS. Used from the event loop only."""

    def __init__(self, view: LiveView, clock: Callable[[], float]) -> None:
        self._view = view
        self._clock = clock
        self._read_at = float("-inf")
        self._status: dict[str, Any] = {}
        self.version = 0

    def read(self) -> dict[str, Any]:
        """The newest status; `version` counts the reads."""
        if self._clock() - self._read_at >= STATUS_SECONDS:
            self._status = status_from_view(self._view)
            self._read_at = self._clock()
            self.version += 1
        return self._status


def status_from_view(view: LiveView) -> dict[str, Any]:
    """Engine, streams and temperatures as plain data."""
    streams = [status.to_dict() for status in view.statuses()]
    return {"engine": view.engine, "streams": streams, "temperatures": temperatures()}


class Feed:
    """What the connections of all browsers share."""

    def __init__(self, view: LiveView, workers: Workers, clock: Callable[[], float]) -> None:
        self.view = view
        self.encoder = Encoder(workers)
        self.status = Status(view, clock)
        self.clock = clock

    async def serve(self, websocket: WebSocket) -> None:
        """Answer the requests of one browser until it leaves."""
        await websocket.accept()
        connection = Connection(self)
        try:
            while True:
                await connection.answer(websocket, Pull.from_text(await websocket.receive_text()))
        except (WebSocketDisconnect, RuntimeError):  # RuntimeError: the browser left while we sent
            return
        except (ValueError, KeyError):  # KeyError: binary instead of text
            await websocket.close(code=1003)


class Connection:
    """What one browser has."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._sent: dict[tuple[str, int], Key] = {}
        self._version = 0

    async def answer(self, websocket: WebSocket, pull: Pull) -> None:
        """Answer one request."""
        feed, view = self._feed, self._feed.view
        until = feed.clock() + WAIT_SECONDS
        new = self._new(pull)
        status = feed.status.read()
        while not new and feed.status.version == self._version and feed.clock() < until:
            await asyncio.sleep(LOOK_SECONDS)
            new = self._new(pull)
            status = feed.status.read()
        head = {
            "status": status if feed.status.version != self._version else None,
            "events": [event.to_dict() for event in view.events()[-EVENTS:]] if pull.events else None,
        }
        self._version = feed.status.version
        encoded = [feed.encoder.message(stream, result, pull.width) for stream, result in new]
        messages = await asyncio.gather(*encoded, return_exceptions=True)
        sent = [message for message in messages if isinstance(message, bytes)]
        for (stream, _), message in zip(new, messages):
            if isinstance(message, Exception):
                LOG.warning("the page cannot show a frame of %s: %s: %s", stream, type(message).__name__, message)
        await websocket.send_text(json.dumps(head | {"frames": len(sent)}))
        for message in sent:
            await websocket.send_bytes(message)
        self._sent |= {(stream, pull.width): key_of(result) for stream, result in new}

    def _new(self, pull: Pull) -> list[tuple[str, Result]]:
        """The wanted streams whose newest result the browser does not have at this width."""
        known = {status["name"] for status in self._feed.status.read()["streams"]}
        results = [(name, self._feed.view.latest(name)) for name in pull.want if name in known]
        return [
            (name, result)
            for name, result in results
            if result is not None and self._sent.get((name, pull.width)) != key_of(result)
        ]

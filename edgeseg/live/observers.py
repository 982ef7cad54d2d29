"""Observers of events: JSON lines, a webhook, MQTT. Each has a thread and a bounded queue of its own.

events.jsonl                   appends one JSON object per line
https://USER:PASSWORD@HOST/... POSTs each event as JSON; an event that fails is lost, and counted
mqtt://USER:PASSWORD@HOST:1883/TOPIC
                               TOPIC/status "online" or "offline" (retained; the last will), TOPIC/NAME/state
                               (retained) and TOPIC/NAME/events
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import queue
import re
import threading
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from edgeseg.capture.state import StreamEvent
from edgeseg.errors import FormatError, UnavailableError
from edgeseg.files import writable_folder
from edgeseg.uri import redacted

logger = logging.getLogger(__name__)

DEPTH = 1000  # events that may wait
TIMEOUT_SECONDS = 5.0
CLOSE_SECONDS = 5.0
QUEUE_IS_FULL = 15  # paho's MQTT_ERR_QUEUE_SIZE
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Observer(ABC):
    """Delivers events in a thread. One that is slow or fails loses events, which are counted, and holds up nobody."""

    def __init__(self, name: str) -> None:
        self.name, self.lost = name, 0
        self._waiting: queue.Queue[StreamEvent | None] = queue.Queue(DEPTH)
        self._thread = threading.Thread(target=self._work, name=f"edgeseg-events-{name}", daemon=True)
        self._thread.start()

    def __call__(self, event: StreamEvent) -> None:
        """Have an event delivered."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self.lost += 1

    def end(self) -> None:
        """Deliver what waits, and then finish."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)

    def join(self, seconds: float) -> bool:
        """Wait for the end; False where it takes longer, and goes on in its thread."""
        self._thread.join(max(0.0, seconds))
        if self.lost:
            logger.warning("%s: %d events were lost", self.name, self.lost)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None:
            try:
                self._deliver(event)
            except Exception as problem:
                self.lost += 1
                logger.warning("%s: an event was not delivered: %s", self.name, type(problem).__name__)
        self._finish()

    @abstractmethod
    def _deliver(self, event: StreamEvent) -> None:
        """Deliver one event."""

    def _finish(self) -> None:  # noqa: B027 - an observer may have nothing to finish
        """Free resources."""


class JsonLines(Observer):
    """Appends events to a file, one JSON object per line, flushed."""

    def __init__(self, path: Path) -> None:
        writable_folder(path.parent)
        self._path = path
        super().__init__(str(path))

    def _deliver(self, event: StreamEvent) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event.to_dict()) + "\n")


class Webhook(Observer):
    """POSTs events as JSON."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._headers = {"Content-Type": "application/json"}
        if parts.username:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        super().__init__(redacted(url))

    def _deliver(self, event: StreamEvent) -> None:
        body = json.dumps(event.to_dict()).encode()
        request = urllib.request.Request(self._url, body, self._headers, method="POST")
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            answer.read(1)


class Mqtt(Observer):
    """Publishes events. The broker says "offline" for a process that died: the last will."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._topic = parts.path.strip("/") or "edgeseg"
        client = self._client = _mqtt_client()
        if parts.username:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            client.tls_set()
        client.will_set(f"{self._topic}/status", "offline", qos=1, retain=True)
        client.max_queued_messages_set(DEPTH)  # while the broker is away
        client.on_connect = self._connected
        client.connect_async(parts.hostname or "localhost", parts.port or MQTT_PORTS[parts.scheme])
        client.loop_start()  # reconnects by itself
        super().__init__(redacted(url))

    def _connected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            logger.warning("%s: the broker refuses: %s", self.name, reason)
            return
        client.publish(f"{self._topic}/status", "online", qos=1, retain=True)

    def _deliver(self, event: StreamEvent) -> None:
        topic = f"{self._topic}/{re.sub(r'[/+#]', '_', event.stream)}"
        if event.state is not None:
            self._publish(f"{topic}/state", event.state.value, retain=True)
        self._publish(f"{topic}/events", json.dumps(event.to_dict()))

    def _publish(self, topic: str, text: str, *, retain: bool = False) -> Any:
        """Publish, or queue it until the broker is there; BufferError where the queue is full."""
        message = self._client.publish(topic, text, qos=1, retain=retain)
        if message.rc == QUEUE_IS_FULL:
            raise BufferError
        return message

    def _finish(self) -> None:
        with contextlib.suppress(Exception):
            self._publish(f"{self._topic}/status", "offline", retain=True).wait_for_publish(1.0)
        self._client.disconnect()
        self._client.loop_stop()


def _mqtt_client() -> Any:
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError:
        hint = 'pip install "edgeseg[mqtt]"'
        raise UnavailableError("MQTT needs the package paho-mqtt", hint=hint, code="ES-MISSING-MQTT") from None
    return Client(CallbackAPIVersion.VERSION2)


def observer_from_uri(uri: str) -> Observer:
    """The observer at a URI. FormatError for another kind."""
    return factory_from_uri(uri)()


def factory_from_uri(uri: str) -> Callable[[], Observer]:
    """What opens the observer at a URI. FormatError for another kind."""
    scheme = _scheme(uri)
    if scheme in ("http", "https"):
        return partial(Webhook, uri)
    if scheme in MQTT_PORTS:
        _mqtt_client()  # refuses where its package is missing
        return partial(Mqtt, uri)
    if "://" not in uri and uri.endswith(".jsonl"):
        return partial(JsonLines, Path(uri))
    hint = "write events.jsonl, https://HOST/PATH or mqtt://HOST/TOPIC"
    raise FormatError(f"not an observer of events: {redacted(uri)}", hint=hint, code="ES-FORMAT-EVENTS")


def _scheme(uri: str) -> str:
    """The scheme of a URL with a host; "" for anything else."""
    try:
        parts = urlsplit(uri)
        return parts.scheme.lower() if parts.hostname and parts.port != 0 else ""
    except ValueError:  # of a port or a bracket
        return ""


def close_observers(observers: Sequence[Observer]) -> None:
    """Have all deliver what waits, for a few seconds at most."""
    for observer in observers:
        observer.end()
    until = time.monotonic() + CLOSE_SECONDS
    for observer in observers:
        observer.join(until - time.monotonic())

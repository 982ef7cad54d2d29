"""Observers of events: what they deliver, and that one that fails or hangs holds up nobody."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeseg.capture.state import StreamEvent, StreamState
from edgeseg.errors import FileProblem, FormatError, UnavailableError
from edgeseg.live import observers
from edgeseg.live.observers import QUEUE_IS_FULL, Mqtt, Observer, Webhook, close_observers, observer_from_uri

PATIENCE_SECONDS = 60.0  # far more than this takes: only a hang reaches it
LIVE = StreamEvent("front", "state", "h264, 64x32", state=StreamState.LIVE)
LOST = StreamEvent("front", "state", "refused", state=StreamState.LOST, code="ES-SOURCE-REFUSED", retry_seconds=0.5)
FULL = StreamEvent("front", "sink", "out.mp4 stopped", code="ES-SINK", hint="free some space")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event is given up because the machine is busy."""
    monkeypatch.setattr(observers, "TIMEOUT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(observers, "CLOSE_SECONDS", PATIENCE_SECONDS)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


class Server(ThreadingHTTPServer):
    """Keeps what is posted to it; answers with `status` once its gate is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.opened, self.posts = 200, threading.Event(), list[tuple[str, dict[str, str], Any]]()
        self.opened.set()
        self.arrived = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts.append((self.path, dict(self.headers), body))
        self.server.arrived.set()
        self.server.opened.wait(PATIENCE_SECONDS)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield server
        server.opened.set()
        server.shutdown()
        thread.join(PATIENCE_SECONDS)


class Client:
    """An MQTT client that keeps what it is told. rc: of each message."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.messages: list[tuple[str, str, int, bool]] = []
        self.on_connect: Any = None
        self.rc = 0

    def publish(self, topic: str, text: str, qos: int = 0, retain: bool = False) -> Any:
        self.messages.append((topic, text, qos, retain))
        return SimpleNamespace(rc=self.rc, wait_for_publish=lambda seconds: None)

    def connect(self, *, refused: bool = False) -> None:
        """What paho calls when the broker has answered."""
        self.on_connect(self, None, None, SimpleNamespace(is_failure=refused), None)

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **named: self.calls.append((name, *words, *named.items()))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    fake = Client()
    monkeypatch.setattr(observers, "_mqtt_client", lambda: fake)
    return fake


def deliver(observer: Observer, *events: StreamEvent) -> None:
    for event in events:
        observer(event)
    close_observers([observer])


def test_events_are_appended_to_a_file_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    deliver(observer_from_uri(str(path)), LIVE)
    deliver(observer_from_uri(str(path)), LOST, FULL)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [LIVE.to_dict(), LOST.to_dict(), FULL.to_dict()]
    assert lines[1] == {
        "stream": "front", "kind": "state", "message": "refused", "state": "lost", "code": "ES-SOURCE-REFUSED",
        "retry_seconds": 0.5, "time": LOST.time,
    }  # fmt: skip
    assert "state" not in lines[2]


def test_a_folder_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileProblem):
        observer_from_uri(str(tmp_path / "file" / "events.jsonl"))


def test_a_file_that_fails_later_loses_events_and_counts_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    observer = observer_from_uri(str(tmp_path / "events.jsonl"))
    (tmp_path / "events.jsonl").mkdir()
    deliver(observer, LIVE, LOST)
    assert observer.lost == 2
    assert "2 events were lost" in caplog.text


def test_a_webhook_gets_each_event_as_json(web: Server) -> None:
    deliver(observer_from_uri(f"http://127.0.0.1:{web.server_port}/hook?key=1"), LIVE, LOST)
    assert [(path, body) for path, _, body in web.posts] == [
        ("/hook?key=1", LIVE.to_dict()),
        ("/hook?key=1", LOST.to_dict()),
    ]
    assert web.posts[0][1]["Content-Type"] == "application/json"


def test_a_webhook_takes_user_and_password(web: Server, caplog: pytest.LogCaptureFixture) -> None:
    web.status = 500
    with caplog.at_level(logging.DEBUG):
        observer = observer_from_uri(f"http://edge:s3cr%40t@127.0.0.1:{web.server_port}/hook?key=s3cret")
        deliver(observer, LIVE)
    login = base64.b64decode(web.posts[0][1]["Authorization"].removeprefix("Basic "))
    assert login == b"edge:s3cr@t"
    assert observer.lost == 1
    assert "HTTPError" in caplog.text
    assert "s3cr" not in caplog.text + observer.name + "".join(thread.name for thread in threading.enumerate())


def test_a_webhook_that_fails_loses_events_and_delivers_the_next_ones(web: Server) -> None:
    observer = observer_from_uri(f"http://127.0.0.1:{web.server_port}/")
    web.status = 503
    observer(LIVE)
    assert web.arrived.wait(PATIENCE_SECONDS)
    until = time.monotonic() + PATIENCE_SECONDS
    while observer.lost == 0 and time.monotonic() < until:
        time.sleep(0.001)
    web.status = 200
    deliver(observer, LOST)
    assert observer.lost == 1
    assert [body for _, _, body in web.posts] == [LIVE.to_dict(), LOST.to_dict()]


def test_a_webhook_that_hangs_holds_up_neither_events_nor_other_observers_nor_the_end(
    web: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observers, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(observers, "DEPTH", 10)
    web.opened.clear()
    hanging = [observer_from_uri(f"http://127.0.0.1:{web.server_port}/{n}") for n in range(2)]
    file = observer_from_uri(str(tmp_path / "events.jsonl"))
    assert isinstance(hanging[0], Webhook)
    for each in hanging:
        each(LIVE)
    assert web.arrived.wait(PATIENCE_SECONDS)
    for _ in range(15):
        for each in hanging:
            each(LOST)
    for _ in range(3):
        file(LOST)
    began = time.monotonic()
    close_observers([*hanging, file])
    assert time.monotonic() - began < PATIENCE_SECONDS / 2
    assert file.join(PATIENCE_SECONDS)
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 3
    assert hanging[0].lost >= 5  # what did not fit into the queue
    web.opened.set()
    for each in hanging:  # its queue may have been full when the end came
        each._waiting.put(None)


def test_mqtt_states_are_retained_and_the_last_will_is_offline(client: Client) -> None:
    observer = observer_from_uri("mqtt://edge:s3cr%40t@broker:1884/site/box/")
    assert isinstance(observer, Mqtt)
    client.connect()
    deliver(observer, LIVE, FULL)
    assert ("username_pw_set", "edge", "s3cr@t") in client.calls
    assert ("connect_async", "broker", 1884) in client.calls
    assert ("will_set", "site/box/status", "offline", ("qos", 1), ("retain", True)) in client.calls
    assert client.messages == [
        ("site/box/status", "online", 1, True),
        ("site/box/front/state", "live", 1, True),
        ("site/box/front/events", json.dumps(LIVE.to_dict()), 1, False),
        ("site/box/front/events", json.dumps(FULL.to_dict()), 1, False),
        ("site/box/status", "offline", 1, True),
    ]
    order = [call[0] for call in client.calls]
    assert order.index("will_set") < order.index("connect_async") < order.index("loop_start")
    assert order[-2:] == ["disconnect", "loop_stop"]
    assert observer.lost == 0


def test_mqtt_has_defaults_and_takes_tls(client: Client) -> None:
    deliver(observer_from_uri("mqtts://broker"))
    assert ("connect_async", "broker", 8883) in client.calls
    assert ("tls_set",) in client.calls
    assert client.messages[-1][0] == "edgeseg/status"
    assert not any(call[0] == "username_pw_set" for call in client.calls)


def test_no_password_of_mqtt_is_shown(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        observer = observer_from_uri("mqtt://edge:s3cret@broker/site")
        client.connect(refused=True)
        assert client.messages == []  # it is not online
        client.rc = QUEUE_IS_FULL
        deliver(observer, LIVE, LOST)
    assert observer.lost == 2
    assert "refuses" in caplog.text
    assert "s3cret" not in caplog.text + observer.name


def test_a_name_that_is_no_level_of_a_topic_is_changed(client: Client) -> None:
    deliver(observer_from_uri("mqtt://broker"), StreamEvent("a/b#+", "sink", "stopped"))
    assert client.messages[0][0] == "edgeseg/a_b__/events"


def test_messages_that_wait_for_a_broker_are_limited(client: Client) -> None:
    deliver(observer_from_uri("mqtt://broker"))
    assert ("max_queued_messages_set", observers.DEPTH) in client.calls


def test_paho_takes_these_calls() -> None:
    pytest.importorskip("paho.mqtt")
    observer = observer_from_uri("mqtt://edge:pw@127.0.0.1:9/site")  # nobody listens there
    deliver(observer, LIVE)
    assert observer.lost == 0  # they wait for the broker
    from paho.mqtt.enums import MQTTErrorCode

    assert MQTTErrorCode.MQTT_ERR_QUEUE_SIZE == QUEUE_IS_FULL


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "paho.mqtt.client", None)
    with pytest.raises(UnavailableError) as problem:
        observer_from_uri("mqtt://broker")
    assert problem.value.code == "ES-MISSING-MQTT"


@pytest.mark.parametrize(
    "uri",
    [
        "events.txt", "ftp://u:s3cret@h/x", "https://", "mqtt://u:s3cret@h:port/x", "http://u:s3cret@[h/x",
        "kafka://h/x.jsonl", "",
    ],
)  # fmt: skip
def test_other_observers_are_refused(uri: str) -> None:
    with pytest.raises(FormatError) as problem:
        observer_from_uri(uri)
    assert problem.value.code == "ES-FORMAT-EVENTS"
    assert "s3cret" not in str(problem.value)

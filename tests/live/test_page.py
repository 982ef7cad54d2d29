"""The page's server: its addresses, who may ask for them, and how it starts and ends."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from live_view import FakeView

from edgeseg.errors import EdgeSegError
from edgeseg.pixels.overlay import overlay_labels
from edgeseg.predictions.semantic import SemanticMask, semantic_mask

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("prometheus_client")

from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from edgeseg.live.page.guard import is_loopback
from edgeseg.live.page.images import WIDTHS, nearest_width
from edgeseg.live.page.server import PageServer, page_from_uri

TOKEN = "correct-horse-battery"
PATIENCE_SECONDS = 60


class Answer:
    """What the server said to one request."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)


def get(page: PageServer, path: str, **headers: str) -> Answer:
    """GET from the loopback interface; an underscore in a header's name stands for a hyphen."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def websocket(page: PageServer, **headers: str) -> ClientConnection:
    url = f"ws://127.0.0.1:{page.port}/ws"
    return connect(url, additional_headers=headers, open_timeout=PATIENCE_SECONDS, proxy=None)


def refused(page: PageServer, **headers: str) -> bool:
    try:
        with websocket(page, **headers):
            return False
    except InvalidStatus as refusal:
        assert refusal.response.status_code == 403
        return True


def pull(client: ClientConnection, *want: str, **more: Any) -> tuple[dict[str, Any], list[bytes]]:
    """One request and its answer."""
    client.send(json.dumps({"want": want, **more}))
    head = json.loads(client.recv(timeout=PATIENCE_SECONDS))
    frames = [client.recv(timeout=PATIENCE_SECONDS) for _ in range(head["frames"])]
    assert all(isinstance(frame, bytes) for frame in frames)
    return head, [frame for frame in frames if isinstance(frame, bytes)]


def opened(message: bytes) -> tuple[dict[str, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The head, the image (rgb) and the labels of a message."""
    (length,) = struct.unpack_from("<I", message)
    head = json.loads(message[4 : 4 + length])
    jpeg = message[4 + length : 4 + length + head["jpeg"]]
    labels = zlib.decompress(message[4 + length + head["jpeg"] :])
    image = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return head, image, np.frombuffer(labels, np.uint8).reshape(head["height"], head["width"])


@pytest.fixture
def view() -> FakeView:
    return FakeView("gate", "yard 2")


@pytest.fixture
def page(view: FakeView) -> Iterator[PageServer]:
    with page_from_uri("http://127.0.0.1:0", view) as server:
        yield server


@pytest.fixture
def locked(view: FakeView) -> Iterator[PageServer]:
    """A page for the network."""
    with page_from_uri(f"http://0.0.0.0:0?token={TOKEN}", view) as server:
        yield server


# --- addresses ---


def test_the_page_asks_nobody_else_for_anything(page: PageServer) -> None:
    answer = get(page, "/")
    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert b"http://" not in answer.body.replace(b"http://www.w3.org/", b"")
    assert b"bisenetv2-camvid, OpenVINO INT8" in answer.body
    for name in ("page.css", "page.js", "icon.svg"):
        assert f"/static/{name}".encode() in answer.body
        assert get(page, f"/static/{name}").status == 200
    assert get(page, "/favicon.ico").body == get(page, "/static/icon.svg").body  # asked for by browsers, unnamed
    for path in ("/static/server.py", "/static/../guard.py", "/static/%2e%2e/guard.py", "/nothing"):
        assert get(page, path).status == 404


def test_a_name_from_outside_is_text_on_the_page() -> None:
    view = FakeView("gate")
    view.engine = "<script>alert(1)</script>"
    with page_from_uri("http://127.0.0.1:0", view) as page:
        assert b"<script>alert" not in get(page, "/").body


def test_a_snapshot_is_the_newest_overlay_in_full_size(page: PageServer, view: FakeView) -> None:
    assert get(page, "/snapshot/nobody.jpg").status == 404
    assert get(page, "/snapshot/yard%202.jpg").status == 503
    result = view.move("yard 2", 5)
    answer = get(page, "/snapshot/yard%202.jpg")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert answer.headers["Cache-Control"] == "no-store"
    image = cv2.cvtColor(cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    mask = semantic_mask(result.prediction)
    exact = overlay_labels(result.frame.rgb(), mask.labels, mask.palette, opacity=0.5)
    assert image.shape == exact.shape
    assert np.abs(image.astype(int) - exact).mean() < 4  # what JPEG loses


def test_status_and_events_are_json(page: PageServer, view: FakeView) -> None:
    view.move("gate", 1)
    view.lose("yard 2")
    status = get(page, "/api/status").json()
    assert [(each["name"], each["state"]) for each in status["streams"]] == [("gate", "live"), ("yard 2", "lost")]
    assert status["streams"][1]["event"]["code"] == "ES-SOURCE-REFUSED"
    assert status["labels"][0] == {"name": "Sky", "color": [128, 128, 128]}
    assert [event["stream"] for event in get(page, "/api/events").json()] == ["yard 2"]


def test_health_is_503_when_no_stream_is_live(page: PageServer, view: FakeView) -> None:
    assert get(page, "/health").status == 200  # they are waited for
    view.move("gate", 1)
    view.move("yard 2", 1)
    answer = get(page, "/health")
    assert (answer.status, answer.json()["status"]) == (200, "ok")
    view.lose("gate")
    assert get(page, "/health").status == 200
    view.lose("yard 2")
    answer = get(page, "/health")
    assert (answer.status, answer.json()["status"]) == (503, "failing")
    assert answer.json()["streams"]["gate"]["state"] == "lost"
    assert get(page, "/health?live").status == 200  # a restart would bring no camera back


def test_metrics_are_for_prometheus(page: PageServer, view: FakeView) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    view.move("gate", 1)
    answer = get(page, "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    read = {s.name for family in text_string_to_metric_families(answer.body.decode()) for s in family.samples}
    assert {"edgeseg_process_fps", "edgeseg_engine_seconds_count", "process_resident_memory_bytes"} <= read


# --- the WebSocket ---


def test_a_frame_is_sent_once_and_only_to_who_wants_it(page: PageServer, view: FakeView) -> None:
    view.move("gate", 1)
    view.move("yard 2", 1)
    with websocket(page) as client:
        head, frames = pull(client, "gate", "nobody")
        assert [opened(frame)[0]["stream"] for frame in frames] == ["gate"]
        assert [each["name"] for each in head["status"]["streams"]] == ["gate", "yard 2"]
        assert pull(client, "gate")[1] == []  # the same frame
        view.move("gate", 2)
        (frame,) = pull(client, "gate")[1]
        assert opened(frame)[0]["sequence"] == 2


def test_the_browser_gets_the_original_and_the_exact_labels(page: PageServer, view: FakeView) -> None:
    result = view.move("gate", 1)
    with websocket(page) as client:
        (frame,) = pull(client, "gate")[1]
    _, image, labels = opened(frame)
    assert np.array_equal(labels, semantic_mask(result.prediction).labels)
    assert np.abs(image.astype(int) - result.frame.rgb()).mean() < 6  # what JPEG loses


def test_a_frame_is_scaled_to_the_tile_and_never_enlarged() -> None:
    view = FakeView("gate", size=(1000, 500))
    result = view.move("gate", 1)
    with page_from_uri("http://127.0.0.1:0", view) as page, websocket(page) as client:
        for width, expected in ((300, (320, 160)), (5000, (1000, 500))):
            (frame,) = pull(client, "gate", width=width)[1]
            head, image, labels = opened(frame)
            assert (head["width"], head["height"]) == expected
            assert image.shape[:2] == labels.shape == expected[::-1]
            assert set(np.unique(labels)) <= set(np.unique(semantic_mask(result.prediction).labels))
    assert [nearest_width(width) for width in (-1, 320, 321, 9999)] == [320, 320, 480, WIDTHS[-1]]


def test_a_stale_result_of_the_same_frame_is_a_new_one(page: PageServer, view: FakeView) -> None:
    view.move("gate", 1)
    with websocket(page) as client:
        assert not opened(pull(client, "gate")[1][0])[0]["stale"]
        view.move("gate", 1, stale=True)
        assert opened(pull(client, "gate")[1][0])[0]["stale"]


def test_two_browsers_share_what_is_encoded(page: PageServer, view: FakeView, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeseg.live.page import feed

    encoded: list[str] = []

    def counting(stream: str, *rest: Any) -> bytes:
        encoded.append(stream)
        return original(stream, *rest)

    original = feed.message_from_result
    monkeypatch.setattr(feed, "message_from_result", counting)
    view.move("gate", 1)
    with websocket(page) as first, websocket(page) as second:
        assert pull(first, "gate")[1] == pull(second, "gate")[1]
    assert encoded == ["gate"]


def test_a_browser_that_asks_for_nothing_costs_no_encoding(
    page: PageServer, view: FakeView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.live.page.feed.message_from_result", lambda *_: pytest.fail("encoded"))
    with websocket(page) as client:
        for index in range(50):
            view.move("gate", index)
        assert pull(client)[1] == []


def test_a_frame_that_cannot_be_encoded_does_not_hold_up_the_others(
    page: PageServer, view: FakeView, caplog: pytest.LogCaptureFixture
) -> None:
    view.move("gate", 1)
    result = view.move("yard 2", 1)
    result.frame._rgb = None
    result.frame._make_rgb = lambda: 1 / 0  # type: ignore[assignment,return-value]
    with websocket(page) as client:
        frames = pull(client, "gate", "yard 2")[1]
    assert [opened(frame)[0]["stream"] for frame in frames] == ["gate"]
    assert "ZeroDivisionError" in caplog.text


def test_events_come_on_request(page: PageServer, view: FakeView) -> None:
    view.lose("gate")
    with websocket(page) as client:
        assert pull(client)[0]["events"] is None
        assert [event["stream"] for event in pull(client, events=True)[0]["events"]] == ["gate"]


@pytest.mark.parametrize("text", ["", "[]", '{"want": 1}', '{"want": [1]}', '{"width": "x"}', "{" * 2000, b"binary"])
def test_a_malformed_request_ends_that_connection_alone(page: PageServer, view: FakeView, text: str | bytes) -> None:
    from websockets.exceptions import ConnectionClosedError

    view.move("gate", 1)
    with websocket(page) as good, websocket(page) as bad:
        bad.send(text)
        with pytest.raises(ConnectionClosedError):
            bad.recv(timeout=PATIENCE_SECONDS)
        assert len(pull(good, "gate")[1]) == 1


# --- who may ask ---


def test_another_name_for_this_machine_is_refused(page: PageServer) -> None:
    for host in (f"127.0.0.1:{page.port}", "localhost", f"[::1]:{page.port}"):
        assert get(page, "/api/status", Host=host).status == 200
    for host in ("evil.example", f"evil.example:{page.port}", "127.0.0.1.evil.example", "[", "10.0.0.1"):
        assert get(page, "/api/status", Host=host).status == 403
        assert get(page, "/", Host=host).status == 403
        assert get(page, "/health", Host=host).status == 403
    assert [is_loopback(host) for host in ("127.8.9.1", "::1", "LOCALHOST.", "0.0.0.0", "")] == [True] * 3 + [False] * 2


def test_a_websocket_of_another_page_is_refused(page: PageServer, locked: PageServer) -> None:
    for server, headers in ((page, {}), (locked, {"Authorization": f"Bearer {TOKEN}"})):
        assert not refused(server, Origin=f"http://127.0.0.1:{server.port}", **headers)
        for origin in (
            "http://evil.example", f"http://127.0.0.1:{server.port + 1}", "http://127.0.0.1", "null", "",
            f"file://127.0.0.1:{server.port}",
        ):  # fmt: skip
            assert refused(server, Origin=origin, **headers), origin


def test_without_the_token_nothing_is_shown(locked: PageServer, view: FakeView) -> None:
    view.move("gate", 1)
    for path in ("/api/status", "/api/events", "/metrics", "/snapshot/gate.jpg", "/nothing"):
        for headers in (
            {}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"},
            {"Cookie": f"edgeseg-{locked.port}={TOKEN[:-1]}"}, {"Cookie": f"edgeseg={TOKEN}"},
        ):  # fmt: skip
            answer = get(locked, path, **headers)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="edgeseg"')
        assert get(locked, f"{path}?token=wrong-token").status == 401
    assert refused(locked)
    assert refused(locked, Authorization="Bearer wrong-token")
    entrance = get(locked, "/?token=wrong-token")
    assert entrance.status == 401
    assert b"token" in entrance.body
    assert b"gate" not in entrance.body


def test_the_token_in_the_address_becomes_a_cookie(locked: PageServer) -> None:
    answer = get(locked, f"/?token={TOKEN}")
    assert answer.status == 200
    assert TOKEN.encode() not in answer.body
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    pair = cookie.partition(";")[0]
    assert get(locked, "/", Cookie=pair).status == 200
    assert get(locked, "/api/status", Cookie=f"theme=[x; {pair}").status == 200
    assert not refused(locked, Cookie=pair)


def test_programs_send_the_token_as_a_header(locked: PageServer) -> None:
    assert get(locked, "/metrics", Authorization=f"Bearer {TOKEN}").status == 200
    assert not refused(locked, Authorization=f"bearer {TOKEN}")


def test_health_is_open_and_tells_no_details_without_the_token(locked: PageServer) -> None:
    assert get(locked, "/health").json() == {"status": "ok"}
    assert "gate" in get(locked, "/health", Authorization=f"Bearer {TOKEN}").json()["streams"]


def test_a_page_for_the_network_makes_a_token_of_its_own(view: FakeView) -> None:
    first, second = page_from_uri("http://0.0.0.0:0", view), page_from_uri("http://0.0.0.0:0", view)
    assert first.token != second.token
    assert len(first.token) >= 32
    assert first.login_url == f"{first.url}?token={first.token}"
    assert first.token not in first.url
    assert page_from_uri("http://127.0.0.1:0", view).token == ""
    chosen = page_from_uri(f"http://0.0.0.0:0?token={TOKEN}", view)
    assert chosen.login_url == chosen.url  # who chose it knows it


def test_no_token_reaches_a_log(view: FakeView, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with page_from_uri(f"http://0.0.0.0:0?token={TOKEN}", view) as page:
        get(page, f"/?token={TOKEN}")
        get(page, f"/api/status?token={TOKEN}")
        get(page, "/api/status", Cookie=f"edgeseg-{page.port}={TOKEN}")
        with websocket(page, Authorization=f"Bearer {TOKEN}") as client:
            pull(client)
    server = [record for record in caplog.records if not record.name.startswith("websockets.client")]
    assert TOKEN not in "\n".join(record.getMessage() for record in server)


# --- addresses of the server ---


@pytest.mark.parametrize(
    "uri, code",
    [
        ("http://127.0.0.1:8080/path", "ES-FORMAT-OPTION"),
        ("https://127.0.0.1:8080", "ES-FORMAT-OPTION"),
        ("http://user:secret@127.0.0.1:8080", "ES-FORMAT-OPTION"),
        ("http://127.0.0.1:99999", "ES-FORMAT-OPTION"),
        ("http://[::1", "ES-FORMAT-OPTION"),
        ("http://127.0.0.1?token=short", "ES-FORMAT-OPTION"),
        ("http://127.0.0.1?token=", "ES-FORMAT-OPTION"),
        ("http://127.0.0.1?token=with%20a%20space", "ES-FORMAT-OPTION"),
        ("http://127.0.0.1?tokn=long-enough-token", "ES-NAME"),
        ("http://127.0.0.1?token=long-enough-token&token_file=x", "ES-FORMAT-OPTION"),
        ("http://127.0.0.1?token_file=no-such-file", "ES-FILE-MISSING"),
    ],
)
def test_a_wrong_address_is_refused_before_anything_starts(uri: str, code: str, view: FakeView) -> None:
    with pytest.raises(EdgeSegError) as error:
        page_from_uri(uri, view)
    assert error.value.code == code
    assert "secret" not in str(error.value)


def test_an_address_has_defaults(view: FakeView, tmp_path: Path) -> None:
    page = page_from_uri("http://localhost", view)
    assert (page.host, page.port) == ("localhost", 8080)
    (tmp_path / "token").write_text("token-of-a-file\n")
    assert page_from_uri(f"http://127.0.0.1?token_file={tmp_path / 'token'}", view).token == "token-of-a-file"
    assert page_from_uri("http://[::1]:81", view).url == "http://[::1]:81/"


def test_a_port_that_is_taken_is_an_error_with_a_code(page: PageServer, view: FakeView) -> None:
    with pytest.raises(EdgeSegError) as error:
        PageServer(view, port=page.port).start()
    assert error.value.code == "ES-PORT"
    assert str(page.port) in error.value.message
    with pytest.raises(EdgeSegError) as error:
        PageServer(view, "192.0.2.1", 0).start()
    assert error.value.code == "ES-PORT"


def test_closing_leaves_no_thread_and_frees_the_port(view: FakeView) -> None:
    before = set(threading.enumerate())
    page = page_from_uri("http://127.0.0.1:0", view)
    page.start()
    with websocket(page) as client:
        pull(client)
        page.close()
        page.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), thread
    again = PageServer(view, port=page.port)
    again.start()
    again.close()


def test_closing_does_not_wait_for_a_view_that_hangs(view: FakeView) -> None:
    free = threading.Event()
    entered = threading.Event()

    def hang() -> list[Any]:
        entered.set()
        free.wait()
        return []

    page = page_from_uri("http://127.0.0.1:0", view)
    page.start()
    view.statuses = hang  # type: ignore[method-assign]
    with socket.create_connection(("127.0.0.1", page.port)) as client:
        client.sendall(b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert entered.wait(PATIENCE_SECONDS)
        page.close()  # the timeout of the test run says that this hangs
    free.set()


def test_a_mask_smaller_than_the_frame_is_scaled_to_it(page: PageServer, view: FakeView) -> None:
    result = view.move("gate", 1)
    mask = semantic_mask(result.prediction)
    view.results["gate"] = type(result)(result.frame, SemanticMask(mask.labels[::2, ::2].copy(), mask.classes))
    with websocket(page) as client:
        head, _, labels = opened(pull(client, "gate")[1][0])
    assert labels.shape == (head["height"], head["width"]) == result.frame.size

"""The page in a real browser: what it draws, what its controls do, and how it says that something is wrong."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from live_view import LABELS, FakeView
from numpy.typing import NDArray

from edgeseg.capture.state import StreamState
from edgeseg.predictions.semantic import semantic_mask

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("prometheus_client")

from devtools import Browser, browser_path

from edgeseg.live.page.server import PageServer, page_from_uri

NEUTRAL = (0x7D, 0x85, 0x8D)  # behind a mask, where a class is hidden
ROAD = LABELS.names.index("Road")
Rgb = NDArray[np.uint8]
Open = Callable[..., PageServer]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser | None]:
    if browser_path() is None:
        yield None
    else:
        with Browser(tmp_path_factory.mktemp("browser") / "profile") as started:
            yield started


@pytest.fixture
def browser(chromium: Browser | None, without: Callable[[str, str], None]) -> Iterator[Browser]:
    """A browser in which nothing may go wrong unnoticed."""
    if chromium is None:
        without("chromium", "no chromium on the PATH")
    assert chromium is not None
    chromium.errors.clear()
    yield chromium
    chromium.leave()
    assert chromium.errors == []


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Serves a view and opens it in the browser; waits until `frames` tiles have a frame."""
    servers: list[PageServer] = []

    def opened(view: FakeView, frames: int, **window: Any) -> PageServer:
        server = page_from_uri("http://127.0.0.1:0", view)
        servers.append(server)
        server.start()
        browser.open(server.url, **window)
        browser.run("silentMs = 60000")  # a busy machine is no edgeseg that hangs
        browser.wait(f"document.querySelectorAll('.tile[data-sequence]').length === {frames}")
        return server

    yield opened
    browser.leave()
    for server in servers:
        server.close()


def canvas(browser: Browser, stream: str) -> Rgb:
    """The pixels of a tile, (H, W, 3)."""
    url = browser.run(f"document.querySelector('[data-stream=\"{stream}\"] canvas').toDataURL('image/png')")
    png = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    return np.asarray(cv2.cvtColor(cv2.imdecode(png, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def text(browser: Browser, stream: str, selector: str) -> str:
    return str(browser.run(f"document.querySelector('[data-stream=\"{stream}\"] {selector}').innerText"))


def press(browser: Browser, selector: str) -> None:
    browser.run(f"document.querySelector('{selector}').click()")


def slide(browser: Browser, percent: int) -> None:
    browser.run(f"opacity.value = {percent}; opacity.dispatchEvent(new Event('input'))")


def distance(a: Rgb, b: Rgb) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def test_two_streams_are_shown_as_original_overlay_and_mask(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate", "yard")
    results = {name: view.move(name, 5) for name in view.status}
    open_page(view, 2)
    for name, result in results.items():
        mask = semantic_mask(result.prediction)
        colors = mask.palette[mask.labels]
        press(browser, "[data-mode=mask]")
        assert np.array_equal(canvas(browser, name), colors)
        press(browser, "[data-mode=original]")
        original = canvas(browser, name)
        assert distance(original, result.frame.rgb()) < 6  # what JPEG loses
        press(browser, "[data-mode=overlay]")
        assert distance(canvas(browser, name), original // 2 + colors // 2) < 2
        press(browser, "[data-mode=both]")
        assert np.array_equal(canvas(browser, name), np.hstack([original, colors]))
        press(browser, "[data-mode=overlay]")
        assert text(browser, name, ".state").startswith("live")
    assert browser.run("document.getElementById('summary').innerText") == "2 live"


def test_the_slider_blends_from_the_original_to_the_mask(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate")
    mask = semantic_mask(view.move("gate", 5).prediction)
    colors = mask.palette[mask.labels]
    open_page(view, 1)
    distances = []
    for percent in (0, 25, 75, 100):
        slide(browser, percent)
        distances.append(distance(canvas(browser, "gate"), colors))
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 20
    assert distances[-1] == 0
    assert browser.run("document.getElementById('percent').innerText") == "100%"


def test_a_class_that_is_switched_off_shows_what_is_under_it(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate")
    result = view.move("gate", 5)
    labels = semantic_mask(result.prediction).labels
    road = labels == ROAD
    open_page(view, 1)
    before = canvas(browser, "gate")
    press(browser, "[data-mode=original]")
    original = canvas(browser, "gate")
    press(browser, "[data-mode=overlay]")
    press(browser, f'[data-class="{ROAD}"]')
    after = canvas(browser, "gate")
    assert np.array_equal(after[road], original[road])
    assert np.array_equal(after[~road], before[~road])
    assert browser.run(f"document.querySelector('[data-class=\"{ROAD}\"]').ariaPressed") == "false"
    press(browser, "[data-mode=mask]")
    assert (canvas(browser, "gate")[road] == NEUTRAL).all()
    press(browser, "#all")
    assert (canvas(browser, "gate")[road] == LABELS.palette[ROAD]).all()
    press(browser, "#none")
    assert (canvas(browser, "gate") == NEUTRAL).all()


def test_the_legend_has_the_live_shares(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate", "yard")
    for name, share in (("gate", 0.25), ("yard", 0.75)):
        view.move(name, 5)
        view.set(name, shares={"Road": share, "Sky": 1 - share})
    open_page(view, 2)
    share = f"document.querySelector('[data-class=\"{ROAD}\"] .share').innerText"
    assert browser.run(share) == "50.0%"
    view.set("yard", shares={"Road": 0.55, "Sky": 0.45})
    browser.wait(f"{share} === '40.0%'")
    press(browser, '[data-stream="gate"] .enlarge')
    browser.wait(f"{share} === '25.0%'")


def test_drops_reconnects_and_the_last_error_are_shown(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate", "yard")
    for name in view.status:
        view.move(name, 5)
    view.set("gate", frames=60, dropped=30, too_old=10, reconnects=3, stalls=2)
    open_page(view, 2)
    assert text(browser, "gate", "[data-fact=dropped]") == "40 40%"
    assert text(browser, "gate", "[data-fact=reconnects]") == "3"
    assert text(browser, "gate", "[data-fact=stalls]") == "2"
    assert text(browser, "gate", "[data-fact=age]") == "84 ms"
    assert text(browser, "gate", ".stages") == "decode 3.1 ms · preprocess 2.2 ms · engine 32 ms · postprocess 4.2 ms"
    assert browser.run("getComputedStyle(document.querySelector('[data-stream=gate] .stale')).display") == "none"
    assert browser.run("document.querySelector('[data-stream=gate] .unwritten').clientHeight") == 0
    view.set("gate", unwritten=7)
    browser.wait("document.querySelector('[data-stream=gate] .unwritten').clientHeight > 0")
    assert text(browser, "gate", "[data-fact=unwritten]") == "7"
    view.lose("gate")
    browser.wait("document.querySelector('[data-stream=gate]').dataset.state === 'lost'")
    assert text(browser, "gate", ".state").startswith("lost 12 s, next attempt in")
    assert text(browser, "gate", ".error code") == "ES-SOURCE-REFUSED"
    assert "RTSP server is on" in text(browser, "gate", ".error .hint")
    assert text(browser, "gate", ".stale") == "stale, 12 s old"
    assert browser.run("document.title") == "1 lost - edgeseg"
    press(browser, "#events summary")
    browser.wait("document.querySelector('#events li')?.innerText.includes('ES-SOURCE-REFUSED')")
    view.set("gate", reconnects=4)
    view.move("gate", 6)
    browser.wait("document.querySelector('[data-stream=gate]').dataset.state === 'live'")
    browser.wait("document.querySelector('[data-stream=gate] .stale').hidden")
    assert text(browser, "gate", "[data-fact=reconnects]") == "4"


def test_a_reused_prediction_is_marked(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate")
    view.move("gate", 5, stale=True)
    open_page(view, 1)
    browser.wait("!document.querySelector('.stale').hidden")
    view.move("gate", 6)
    browser.wait("document.querySelector('.stale').hidden")


def test_each_frame_replaces_the_one_before(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate")
    view.move("gate", 5)
    open_page(view, 1)
    press(browser, "[data-mode=mask]")
    mask = semantic_mask(view.move("gate", 40).prediction)
    browser.wait("document.querySelector('.tile').dataset.sequence === '40'")
    assert np.array_equal(canvas(browser, "gate"), mask.palette[mask.labels])


@pytest.mark.parametrize("count", [8, 16])
def test_no_tile_of_many_is_black(count: int, browser: Browser, open_page: Open) -> None:
    names = [f"camera-{index}" for index in range(count)]
    view = FakeView(*names, size=(96, 54))
    for name in names:
        view.move(name, 5)
    open_page(view, count, width=1600, height=1000)
    for name in names:
        pixels = canvas(browser, name)
        assert pixels.std() > 10, name
        assert pixels.mean() > 30, name
    boxes = browser.run("[...document.querySelectorAll('canvas')].map(each => each.getBoundingClientRect().width)")
    assert len(boxes) == count
    assert min(boxes) > 200


def test_a_stream_without_a_frame_says_so_instead_of_being_black(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate", "yard")
    view.move("gate", 5)
    open_page(view, 1)
    assert text(browser, "yard", ".wait") == "Waiting for the first frame"
    view.lose("yard")
    browser.wait("document.querySelector('[data-stream=yard] .wait').innerText === 'No frame yet'")
    view.set("yard", state=StreamState.ENDED)
    browser.wait("document.querySelector('[data-stream=yard] .wait').innerText === 'Ended without a frame'")


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_everything_without_scrolling_sideways(dark: bool, browser: Browser, open_page: Open) -> None:
    view = FakeView("gate", "a-camera-with-a-name-that-does-not-fit-on-a-phone-" + "x" * 40)
    for name in view.status:
        view.move(name, 5)
    view.lose("gate")
    open_page(view, 2, width=390, height=844, dark=dark)
    for mode in ("overlay", "both"):
        press(browser, f"[data-mode={mode}]:is(button)")
        assert browser.run("document.documentElement.scrollWidth") == 390
        outside = browser.run(
            "[...document.querySelectorAll('button, canvas, dd, input, p')].filter(each => each.getClientRects()[0] "
            "&& each.getBoundingClientRect().right > 391).map(each => each.outerHTML.slice(0, 80))"
        )
        assert outside == []
    background = browser.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(background) < 60) if dark else (min(background) > 200)


def test_one_stream_can_be_enlarged(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate", "yard", "dock")
    for name in view.status:
        view.move(name, 5)
    open_page(view, 3)
    small = browser.run("document.querySelector('[data-stream=yard]').clientWidth")
    press(browser, '[data-stream="yard"] .enlarge')
    shown = "[...document.querySelectorAll('.tile')].filter(each => each.clientWidth).map(each => each.dataset.stream)"
    assert browser.run(shown) == ["yard"]
    browser.wait(f"document.querySelector('[data-stream=yard]').clientWidth > {small}")
    browser.run("dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }))")
    assert browser.run(shown) == ["gate", "yard", "dock"]


def test_the_choice_of_the_view_outlives_a_reload(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate")
    view.move("gate", 5)
    page = open_page(view, 1)
    press(browser, f'[data-class="{ROAD}"]')
    press(browser, "[data-mode=mask]")
    browser.open(page.url)
    browser.wait("document.querySelector('.tile[data-sequence]')")
    assert browser.run("document.body.dataset.mode") == "mask"
    assert browser.run(f"document.querySelector('[data-class=\"{ROAD}\"]').ariaPressed") == "false"


def test_the_page_says_when_edgeseg_is_gone_and_comes_back_with_it(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate")
    view.move("gate", 5)
    page = open_page(view, 1)
    page.close()
    browser.wait("!document.getElementById('banner').hidden")
    assert text(browser, "gate", ".stale") == "no connection"
    view.move("gate", 6)
    page.start()
    browser.wait("document.getElementById('banner').hidden")
    browser.wait("document.querySelector('.tile').dataset.sequence === '6'")
    assert [error for error in browser.errors if "/ws" not in error and "/api/status" not in error] == []
    browser.errors.clear()


def test_the_page_says_when_edgeseg_hangs(browser: Browser, open_page: Open) -> None:
    view = FakeView("gate")
    view.move("gate", 5)
    open_page(view, 1)
    browser.run("silentMs = 1000")
    view.move("gate", 6)
    browser.wait("document.querySelector('.tile').dataset.sequence === '6'")
    goes_on = threading.Event()
    statuses = view.statuses
    view.statuses = lambda: (goes_on.wait(60), statuses())[1]  # type: ignore[method-assign]
    browser.wait("!document.getElementById('banner').hidden")
    assert text(browser, "gate", ".stale") == "no connection"
    browser.run("silentMs = 60000")
    goes_on.set()
    browser.wait("document.getElementById('banner').hidden")
    browser.wait("document.querySelector('.stale').hidden")
    browser.errors.clear()  # of the connections that were given up


def test_a_frame_that_cannot_be_decoded_leaves_the_others(
    browser: Browser, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeseg.live.page import images

    view = FakeView("gate", "yard")
    for name in view.status:
        view.move(name, 5)
    open_page(view, 2)
    encode = images.jpeg_from_rgb
    monkeypatch.setattr(images, "jpeg_from_rgb", lambda rgb, quality: b"no image")
    view.move("gate", 6)
    while not browser.errors:
        browser.run("1")
    browser.errors.clear()
    monkeypatch.setattr(images, "jpeg_from_rgb", encode)
    view.move("yard", 7)
    browser.wait("document.querySelector('[data-stream=yard]').dataset.sequence === '7'")


def test_the_token_is_asked_for_and_then_remembered(browser: Browser) -> None:
    view = FakeView("gate")
    view.move("gate", 5)
    with page_from_uri("http://127.0.0.1:0?token=correct-horse-battery", view) as page:
        browser.open(page.url)
        assert browser.run("document.querySelectorAll('.tile').length") == 0
        assert browser.run("getComputedStyle(document.querySelector('.entrance')).display") == "grid"
        browser.run("document.getElementById('token').value = 'correct-horse-battery'")
        press(browser, "button")
        browser.wait("document.querySelector('.tile[data-sequence]')")
        assert browser.run("location.href") == page.url
        assert browser.run("document.cookie") == ""  # scripts cannot read it
        assert [error for error in browser.errors if "401" not in error] == []
        browser.errors.clear()
        browser.open(page.url)
        browser.wait("document.querySelector('.tile[data-sequence]')")
        browser.leave()


def test_many_classes_are_listed_once_they_are_seen(browser: Browser, open_page: Open) -> None:
    from edgeseg.datasets.labels import COCO_STUFF_LABELS

    view = FakeView("gate")
    view.labels = COCO_STUFF_LABELS
    view.move("gate", 5)
    view.set("gate", shares={COCO_STUFF_LABELS.names[100]: 1.0})
    open_page(view, 1)
    shown = "[...document.querySelectorAll('#classes li')].filter(each => each.clientHeight).length"
    assert browser.run(shown) == 1
    press(browser, "#more")
    assert browser.run(shown) == len(COCO_STUFF_LABELS)

"""The report in a real browser: what it draws on a desk and on a phone, and what its controls do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from bench_records import bench_record

from edgeseg.bench.report.section import sections_from_records
from edgeseg.bench.report.stored import records_from_paths
from edgeseg.measure.diagnostic import Diagnostic

pytest.importorskip("jinja2", reason="the page needs Jinja2, of the extra web")
pytest.importorskip("websockets", reason="the test drives the browser through a WebSocket")

from devtools import Browser, browser_path

from edgeseg.bench.report.page import page_from_sections

NETS = {
    "bisenetv2-camvid": (18.0, 0.65),
    "icnet-camvid": (11.0, 0.56),
    "segformer-with-a-rather-long-name": (37.0, 0.54),
}
ENGINES = {"openvino": 1.0, "onnxruntime": 1.5}
COUNT = len(NETS) * len(ENGINES) * 2 + 1
NOISY = Diagnostic("foreign-load", "other processes used 0.3 cores during the run", "stop them")
VISIBLE = "[...document.querySelectorAll('.results tbody tr')].filter(each => each.clientHeight).length"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with everything on it."""
    folder = tmp_path_factory.mktemp("results")
    records = [
        bench_record(name=name, engine=engine, precision=precision, engine_ms=ms * factor * slower, miou=miou - loss)
        for name, (ms, miou) in NETS.items()
        for engine, factor in ENGINES.items()
        for precision, slower, loss in (("fp32", 2.8, 0.0), ("int8", 1.0, 0.002))
    ]
    records[3] = replace(records[3], diagnostics=(NOISY,))
    records.append(bench_record(engine="pytorch", status="inconclusive", attempts=2))
    records.append(bench_record(scenario="camera", size=(1024, 512)))
    for index, record in enumerate(records):
        record.write(folder / "pc-8c" / "bench" / f"{index:02}.json")
    cv2.imwrite(str(folder / "pc-8c" / "bench" / "01.diff.png"), np.full((300, 1400, 3), 90, np.uint8))
    file = folder / "report.html"
    file.write_text(page_from_sections(sections_from_records(records_from_paths([folder]).records)), encoding="utf-8")
    return file.as_uri()


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


def count(browser: Browser, selector: str) -> int:
    return int(browser.run(f"document.querySelectorAll('{selector}').length"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_all_is_drawn_and_the_page_is_never_wider_than_the_window(
    browser: Browser, page: str, width: int, dark: bool
) -> None:
    browser.open(page, width=width, height=844, dark=dark)
    browser.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    outside = (
        "[...document.querySelectorAll('body *')].filter(each => !each.closest('.scroll, svg, #tip')"
        " && each.clientWidth && each.getBoundingClientRect().right > innerWidth + 1)"
        ".map(each => each.outerHTML.slice(0, 99))"
    )
    assert browser.run(outside) == []
    for selector, expected in (("a.marker", COUNT), (".segment", 3 * COUNT), (".strip circle", 2 * COUNT)):
        boxes = f"[...document.querySelectorAll('{selector}')].map(each => each.getBoundingClientRect())"
        assert browser.run(f"{boxes}.filter(box => box.width > 0 && box.height > 0).length") == expected, selector
    plots = "[...document.querySelectorAll('.plot')].map(each => each.getBoundingClientRect())"
    assert browser.run(f"{plots}.every(box => box.width > {width // 3} && box.right <= {width})")
    assert count(browser, ".pareto") == 2
    assert count(browser, ".sample-chart polyline") == 2 * COUNT
    assert browser.run("document.querySelector('.images img').naturalWidth") == 960
    body = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, body[4:-1].split(","))) < 150) is dark
    assert (
        browser.run("performance.getEntriesByType('resource').filter(each => !each.name.startsWith('data:')).length")
        == 0
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_and_marks_stand_out_from_what_is_behind_them(browser: Browser, page: str, dark: bool) -> None:
    browser.open(page, dark=dark)
    ratios = browser.run("""(() => {
      const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
      const light = color => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        const rgb = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(each => each / 255);
        const [r, g, b] = rgb.map(each => each <= .04045 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
      };
      const style = getComputedStyle(document.documentElement);
      const of = name => light(style.getPropertyValue(name));
      const ratio = (a, b) => (Math.max(of(a), of(b)) + .05) / (Math.min(of(a), of(b)) + .05);
      const marks = [...'01234567'].map(each => '--c' + each).concat('--engine', '--frame', '--file');
      return { text: ['--text', '--quiet', '--accent', '--warn', '--bad'].map(each => ratio(each, '--panel')),
        quiet: ratio('--quiet', '--page'), marks: marks.map(each => ratio(each, '--panel')) };
    })()""")
    assert min(ratios["text"]) >= 4.5  # WCAG 2.2, 1.4.3
    assert ratios["quiet"] >= 4.5
    assert min(ratios["marks"]) >= 3  # WCAG 2.2, 1.4.11


def test_filters_hide_rows_bars_and_points(browser: Browser, page: str) -> None:
    browser.open(page)
    assert browser.run(VISIBLE) == COUNT
    browser.run("(select => { select.value = 'int8'; select.dispatchEvent(new Event('change', { bubbles: true })); })"
                "(document.querySelector('[data-filter=precision]'))")  # fmt: skip
    assert browser.run(VISIBLE) == COUNT // 2
    assert count(browser, "a.marker.off") == COUNT - COUNT // 2
    assert count(browser, ".bar-row[data-row]:not([hidden])") == COUNT // 2
    assert browser.run("document.getElementById('count').innerText") == f"{COUNT // 2} of {COUNT}"


def test_a_heading_sorts_its_table_by_number(browser: Browser, page: str) -> None:
    browser.open(page)
    fps = "[...document.querySelector('.results').tBodies[0].rows].map(row => Number(row.cells[11].dataset.value))"
    press = "document.querySelector('.results thead tr:last-child').cells[11].querySelector('button').click()"
    browser.run(press)
    rising = browser.run(fps)
    assert rising == sorted(rising)
    browser.run(press)
    assert browser.run(fps) == rising[::-1]


def test_a_point_tells_its_figures_and_leads_to_its_row(browser: Browser, page: str) -> None:
    browser.open(page)
    browser.run("document.querySelector('.marker').scrollIntoView({ block: 'center' })")
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # scrolling hides it
    x, y = browser.run("(box => [box.x + box.width / 2, box.bottom - 4])"
                       "(document.querySelector('.marker.on-line').getBoundingClientRect())")  # fmt: skip
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    text = browser.run("document.getElementById('tip').innerText")
    assert "end to end p50" in text
    assert browser.run("document.getElementById('tip').hidden") is False
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=400)
    assert browser.run("document.getElementById('tip').hidden") is True
    browser.run("document.querySelector('.marker.on-line').dispatchEvent(new MouseEvent('click', { bubbles: true }))")
    assert browser.run("document.querySelector('tr:target').cells[1].innerText") in text


def test_the_page_can_be_read_without_its_script(browser: Browser, page: str) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.leave()
        browser.open(page)
        assert browser.run(VISIBLE) == COUNT
        assert count(browser, "a.marker title") == COUNT
        assert browser.run("document.getElementById('filters').hidden") is True
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)

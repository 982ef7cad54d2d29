"""The page in a real browser: it draws, filters and sorts, and asks nobody for anything."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_cli import runner
from small_onnx import SPEC
from small_plan import HEAD, LAYERS, STEM, small_plan

from edgeseg.artifact import Artifact
from edgeseg.inspection.row import rows_from_plan
from edgeseg.provenance import BuildInfo
from edgeseg.spec import Precision

ROWS = rows_from_plan(small_plan(), LAYERS)
EVERY = list(range(len(ROWS)))
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HEADLESS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PATIENCE_SECONDS = 120  # it takes two; a machine that is busy may take much longer

# Stands before the page's own script, so that nothing which goes wrong there is missed.
LISTEN = """<script>
const faults = [];
addEventListener('error', event => faults.push(event.message));
addEventListener('securitypolicyviolation', event => faults.push('blocked ' + event.blockedURI));
</script>"""

# Stands behind it: does what a person would, and leaves what there was to be seen in the title.
ACT = """<script>{
  const lines = () => [...document.querySelectorAll('#layers tbody tr')];
  const drawn = () => lines().filter(line => line.getClientRects().length > 0).map(line => Number(line.dataset.row));
  const dimmed = () => [...document.querySelectorAll('.timeline rect.off')].map(box => Number(box.dataset.row));
  const tell = (element, value, kind) => { element.value = value; element.dispatchEvent(new Event(kind)); };
  const field = document.getElementById('search');
  const choice = document.querySelector('select[data-field="precision"]');
  const seen = {};
  seen.first = drawn();
  const bars = [...document.querySelectorAll('.timeline rect')];
  seen.wide = bars.map(box => box.getBoundingClientRect().width > 0);
  tell(field, 'STEM', 'input');
  seen.typed = [drawn(), dimmed(), document.getElementById('count').textContent];
  tell(field, 'no such layer', 'input');
  seen.nothing = drawn();
  tell(field, '', 'input');
  tell(choice, 'fp32', 'change');
  seen.chosen = drawn();
  tell(choice, '', 'change');
  const button = document.querySelector('#layers th button');
  button.click();
  seen.sorted = drawn();
  button.click();
  seen.reversed = drawn();
  setTimeout(() => {
    seen.faults = faults;
    seen.requests = performance.getEntriesByType('resource').map(entry => entry.name);
    document.title = JSON.stringify(seen);
  }, 100);
}</script>"""

Look = Callable[[str], dict[str, Any]]


@pytest.fixture
def look(without: Callable[[str, str], None], tmp_path: Path) -> Look:
    """Opens the text of a page in a browser, and says what was to be seen."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        without("chromium", "no chromium on the PATH")

    def opened(text: str) -> dict[str, Any]:
        watched = text.replace("<body>", f"<body>{LISTEN}", 1).replace("</body>", f"{ACT}</body>", 1)
        assert watched.count(LISTEN) == watched.count(ACT) == 1
        page = tmp_path / "watched.html"
        page.write_text(watched, encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        words = [browser, *HEADLESS, profile, "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
        title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
        assert title, done.stderr[-500:]
        return dict(json.loads(html.unescape(title[1])))

    return opened


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> str:
    """What `edgeseg inspect` writes of the small plan."""
    monkeypatch.chdir(tmp_path)
    Path("small.plan").write_bytes(b"plan")
    build = BuildInfo(layers=tuple(layer.to_dict() for layer in small_plan()))
    Artifact(
        Path("small.plan"), SPEC, Precision.INT8, engine="tensorrt_rtx", layers=LAYERS, build=build
    ).write_sidecar()
    assert runner(monkeypatch, capfd)("inspect", "small.plan", "--html", "page.html").code == 0
    return Path("page.html").read_text(encoding="utf-8")


def rows_where(holds: Callable[[int], bool]) -> list[int]:
    return [index for index in EVERY if holds(index)]


def test_the_page_works_in_a_browser(look: Look, page: str) -> None:
    seen = look(page)
    assert seen["faults"] == []
    assert seen["requests"] == []
    assert seen["first"] == EVERY
    assert seen["wide"] == [True for _ in ROWS]
    stem = rows_where(lambda index: any(STEM.partition("/")[0] in node for node in ROWS[index].layer.nodes))
    assert 0 < len(stem) < len(ROWS)
    rest = [index for index in EVERY if index not in stem]
    assert seen["typed"] == [stem, rest, f"{len(stem)} of {len(ROWS)} layers"]
    assert seen["nothing"] == []
    assert seen["chosen"] == rows_where(lambda index: ROWS[index].precision == "fp32")
    assert HEAD in {ROWS[index].label for index in seen["chosen"]}
    cost = [ROWS[index].weight_bytes + ROWS[index].activation_bytes for index in EVERY]
    assert [cost[index] for index in seen["sorted"]] == sorted(cost, reverse=True)
    assert [cost[index] for index in seen["reversed"]] == sorted(cost)


def test_the_browser_reports_an_image_from_elsewhere_a_request_and_a_failing_script(look: Look, page: str) -> None:
    for before, after in (
        ("<h1>", '<img src="http://127.0.0.1:9/x.png"><h1>'),
        ("filter();", "filter(); fetch('http://127.0.0.2:9/').catch(() => 0); undefined.length;"),
    ):
        start = page.rindex(before)
        page = page[:start] + after + page[start + len(before) :]
    faults = look(page)["faults"]
    for fault in ("blocked http://127.0.0.1:9", "blocked http://127.0.0.2:9", "Cannot read properties of undefined"):
        assert any(fault in text for text in faults), faults

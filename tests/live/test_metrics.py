"""The metrics of a running stream, as Prometheus reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from live_view import FakeView

from edgeseg.capture.state import StreamState

pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families

import edgeseg
from edgeseg.live import metrics as metrics_module
from edgeseg.live.metrics import LiveMetrics

GUIDE = Path(edgeseg.__file__).parents[1] / "docs" / "live-page.md"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(metrics: LiveMetrics) -> Samples:
    text, content_type = metrics.exposition()
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(text.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def of_stream(read: Samples, stream: str) -> dict[str, float]:
    """The samples whose only label is this stream."""
    return {name: value for (name, labels), value in read.items() if labels == (("stream", stream),)}


def test_each_number_of_a_status_is_a_metric_of_its_stream() -> None:
    view = FakeView("gate", "yard")
    view.move("gate", 3)
    view.set("gate", frames=90, dropped=12, too_old=2, stale=5, unwritten=4, reconnects=3, stalls=1)
    read = samples(LiveMetrics(view))
    gate = of_stream(read, "gate")
    assert {name: gate[name] for name in gate if not name.startswith("edgeseg_engine_seconds")} == {
        "edgeseg_stream_fps": 15.0,
        "edgeseg_process_fps": 14.8,
        "edgeseg_frames_total": 90,
        "edgeseg_stale_total": 5,
        "edgeseg_unwritten_total": 4,
        "edgeseg_reconnects_total": 3,
        "edgeseg_stalls_total": 1,
        "edgeseg_frame_age_seconds": 0.084,
    }
    assert read["edgeseg_skipped_total", (("reason", "replaced"), ("stream", "gate"))] == 12
    assert read["edgeseg_skipped_total", (("reason", "too_old"), ("stream", "gate"))] == 2
    assert read["edgeseg_stage_seconds", (("stage", "engine"), ("stream", "gate"))] == 0.0315
    shares = [value for (name, labels), value in read.items() if name == "edgeseg_class_share"]
    assert sum(shares) == pytest.approx(1)


def test_an_unknown_age_is_absent() -> None:
    read = samples(LiveMetrics(FakeView("gate")))
    assert "edgeseg_frame_age_seconds" not in of_stream(read, "gate")
    assert of_stream(read, "gate")["edgeseg_frames_total"] == 0


def test_one_state_of_a_stream_is_1() -> None:
    view = FakeView("gate")
    view.lose("gate")
    read = samples(LiveMetrics(view))
    states = {dict(labels)["state"]: value for (name, labels), value in read.items() if name == "edgeseg_stream_state"}
    assert states == {state.value: float(state is StreamState.LOST) for state in StreamState}


def test_the_histogram_has_each_time_of_the_engine_once() -> None:
    view = FakeView("gate")
    metrics = LiveMetrics(view)
    view.times += [("gate", 0.004), ("gate", 0.03)]
    assert metrics.observe() == 2
    view.times += [("gate", 9.0)]
    for _ in range(2):
        read = samples(metrics)
        gate = of_stream(read, "gate")
        assert gate["edgeseg_engine_seconds_count"] == 3
        assert gate["edgeseg_engine_seconds_sum"] == pytest.approx(9.034)
        buckets = {dict(k[1])["le"]: v for k, v in read.items() if k[0] == "edgeseg_engine_seconds_bucket"}
        assert (buckets["0.002"], buckets["0.005"], buckets["0.05"], buckets["5.0"], buckets["+Inf"]) == (0, 1, 2, 2, 3)


def test_temperatures_are_labelled_by_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.live.metrics.temperatures", lambda: {"cpu_thermal": 61.5})
    read = samples(LiveMetrics(FakeView("gate")))
    assert read["edgeseg_device_temperature_celsius", (("sensor", "cpu_thermal"),)] == 61.5


def test_the_registry_is_our_own_and_knows_the_process() -> None:
    from prometheus_client import REGISTRY

    text = LiveMetrics(FakeView("gate")).exposition()[0].decode()
    assert "process_resident_memory_bytes" in text
    assert not [family for family in REGISTRY.collect() if family.name.startswith("edgeseg_")]
    LiveMetrics(FakeView("gate"))  # a second one does not clash with the first


@pytest.mark.skipif(not GUIDE.exists(), reason="an installed package has no documents beside it")
def test_the_guide_lists_every_metric_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.live.metrics.temperatures", lambda: {"cpu_thermal": 61.5})
    view = FakeView("gate")
    view.move("gate", 1)
    suffix = re.compile("_(bucket|count|sum|created)$")
    exposed = {suffix.sub("", name) for name, _ in samples(LiveMetrics(view)) if name.startswith("edgeseg_")}
    table = set(re.findall(r"^\| `(edgeseg_\w+)` \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    in_module = set(re.findall(r"^    (edgeseg_\w+) ", metrics_module.__doc__ or "", re.MULTILINE))
    assert exposed == table == in_module


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    text, content_type = LiveMetrics(FakeView("gate")).exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")

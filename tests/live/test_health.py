"""When a running stream is healthy."""

from __future__ import annotations

import pytest
from live_view import FakeView

from edgeseg.capture.state import StreamState

pytest.importorskip("prometheus_client")
pytest.importorskip("starlette")

from edgeseg.live.metrics import LiveMetrics
from edgeseg.live.page.health import ENGINE_SECONDS, GRACE_SECONDS, HealthCheck


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def check_of(view: FakeView) -> tuple[HealthCheck, Clock]:
    clock = Clock()
    return HealthCheck(view, LiveMetrics(view), clock), clock


def test_streams_may_wait_for_their_first_frame_for_a_grace_only() -> None:
    view = FakeView("gate", "yard")
    check, clock = check_of(view)
    view.lose("yard")  # dead at the start
    clock.now += GRACE_SECONDS - 1
    assert check.observe().ok
    clock.now += 2
    assert not check.observe().ok


def test_one_live_stream_is_enough() -> None:
    view = FakeView("gate", "yard")
    check, clock = check_of(view)
    view.move("gate", 1)
    view.lose("yard")
    clock.now += GRACE_SECONDS + 1
    view.move("gate", 2)
    health = check.observe()
    assert health.ok
    assert {name: stream["ok"] for name, stream in health.streams.items()} == {"gate": True, "yard": False}


@pytest.mark.parametrize("state", [StreamState.LOST, StreamState.STALLED, StreamState.CONNECTING, StreamState.ENDED])
def test_a_stream_that_had_frames_and_is_not_live_fails_at_once(state: StreamState) -> None:
    view = FakeView("gate")
    check, _ = check_of(view)
    view.move("gate", 1)
    view.set("gate", state=state, source_fps=0.0)
    health = check.observe()
    assert not health.ok
    assert health.to_dict()["status"] == "failing"


def test_an_engine_that_gives_nothing_while_frames_arrive_fails_after_a_while() -> None:
    view = FakeView("gate")
    check, clock = check_of(view)
    view.move("gate", 1)
    assert check.observe().ok
    clock.now += ENGINE_SECONDS - 1
    assert check.observe().ok
    clock.now += 2
    assert not check.observe().ok
    view.move("gate", 2)
    assert check.observe().ok


def test_a_liveness_fails_for_the_engine_and_not_for_the_cameras() -> None:
    view = FakeView("gate")
    check, clock = check_of(view)
    view.move("gate", 1)
    view.lose("gate")
    clock.now += GRACE_SECONDS + 1
    assert not check.observe().ok
    assert check.observe(cameras=False).ok
    view.set("gate", state=StreamState.LIVE, source_fps=15.0)
    clock.now += ENGINE_SECONDS + 1
    assert not check.observe(cameras=False).ok


def test_an_engine_without_frames_is_not_blamed() -> None:
    view = FakeView("gate")
    check, clock = check_of(view)
    view.move("gate", 1)
    view.set("gate", source_fps=0.0)
    clock.now += ENGINE_SECONDS + 1
    assert check.observe().ok


def test_a_scrape_of_the_metrics_does_not_hide_the_progress_of_the_engine() -> None:
    view = FakeView("gate")
    clock = Clock()
    metrics = LiveMetrics(view)
    check = HealthCheck(view, metrics, clock)
    for index in range(4):
        view.move("gate", index)
        metrics.exposition()
        clock.now += ENGINE_SECONDS - 1
        assert check.observe().ok

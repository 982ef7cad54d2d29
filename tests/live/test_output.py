"""The sinks of a stream: one that is slow, fails or hangs holds up no other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from small_streams import Drawn, Kept

from edgeseg.capture.state import StreamEvent
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.errors import UnavailableError
from edgeseg.live import output
from edgeseg.live.output import DEPTH, Outputs, SharedResult, SinkWorker
from edgeseg.live.stream import RunningStream, StreamConfig
from edgeseg.pixels.legend import Legend
from edgeseg.pixels.planes import Planes
from edgeseg.predictions import SemanticMask
from edgeseg.video.frame import Frame
from edgeseg.video.overlay import OverlayRenderer
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, Wants

PATIENCE_SECONDS = 60.0  # far more than this takes: only a hang reaches it


class Held(Kept):
    """A sink that writes, or closes, only while its gate is open."""

    def __init__(self, *, in_close: bool = False) -> None:
        super().__init__()
        self.opened, self.entered, self.in_close, self.closed = threading.Event(), threading.Event(), in_close, 0

    def _pass(self) -> None:
        self.entered.set()
        assert self.opened.wait(PATIENCE_SECONDS)

    def _write(self, result: Result) -> bool:
        if not self.in_close:
            self._pass()
        return super()._write(result)

    def close(self) -> None:
        if self.in_close:
            self._pass()
        self.closed += 1


class Failing(Kept):
    """A sink that raises at frame `at`, or in close."""

    def __init__(self, at: int | None, problem: Exception) -> None:
        super().__init__()
        self.at, self.problem = at, problem

    def _write(self, result: Result) -> bool:
        if result.frame.index == self.at:
            raise self.problem
        return super()._write(result)

    def close(self) -> None:
        if self.at is None:
            raise self.problem


class Showing(Kept):
    """A sink that repeats old results."""

    repeats = True


class Labels(Kept):
    """A sink without overlays."""

    wants = "prediction"


class CountingRenderer(OverlayRenderer):
    """Counts what it renders."""

    def __init__(self) -> None:
        super().__init__(1.0, None)
        self.count = 0

    def rendered(self, result: Result, *, planes: bool = False) -> Result:
        self.count += 1
        return super().rendered(result, planes=planes)


def result(index: int = 0, *, stale: bool = False) -> Result:
    frame = Frame.from_rgb(index, index / 25, Drawn.picture(index))
    return Result(frame, SemanticMask(np.full((32, 64), 3, np.uint8), CAMVID_LABELS), stale=stale)


def shared(index: int = 0) -> SharedResult:
    return SharedResult(result(index), OverlayRenderer(0.5, None))


def indices(sink: Kept) -> list[int]:
    return [each.frame.index for each in sink.results]


@pytest.fixture
def errors() -> list[tuple[FrameSink, Exception]]:
    return []


@pytest.fixture
def worker(errors: list[tuple[FrameSink, Exception]]) -> Iterator[Callable[..., SinkWorker]]:
    """Starts workers, and sees that their threads end."""
    workers: list[SinkWorker] = []

    def started(sink: FrameSink, *, drops: bool = True) -> SinkWorker:
        workers.append(SinkWorker(sink, drops=drops, on_error=lambda *error: errors.append(error)))
        return workers[-1]

    yield started
    for each in workers:
        if isinstance(each.sink, Held):
            each.sink.opened.set()
        each.end()
        assert each.join(PATIENCE_SECONDS)


def wait_until_written(sink: Kept, count: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while len(sink.results) < count:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_a_slow_sink_of_a_live_stream_gets_the_newest_results_and_the_others_get_all(
    worker: Callable[..., SinkWorker],
) -> None:
    slow, quick = Held(), Kept()
    outputs = Outputs([worker(slow), worker(quick)], OverlayRenderer(0.5, None))
    outputs.put(result(0))
    assert slow.entered.wait(PATIENCE_SECONDS)
    for index in range(1, 30):
        outputs.put(result(index))
        wait_until_written(quick, index + 1)
    slow.opened.set()
    outputs.end()
    assert outputs.join(PATIENCE_SECONDS) == []
    assert indices(slow) == [0, *range(30 - DEPTH, 30)]
    assert [each.dropped for each in outputs.workers] == [29 - DEPTH, 0]
    assert indices(quick) == list(range(30))


def test_a_recording_waits_for_its_slow_sink_and_nothing_is_lost(worker: Callable[..., SinkWorker]) -> None:
    slow = Held()
    waiting = worker(slow, drops=False)
    put: list[int] = []

    def feed() -> None:
        for index in range(30):
            waiting.put(shared(index))
            put.append(index)

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert slow.entered.wait(PATIENCE_SECONDS)
    while not waiting.is_busy():
        time.sleep(0.001)
    assert len(put) <= DEPTH + 2
    slow.opened.set()
    feeder.join(PATIENCE_SECONDS)
    waiting.end()
    assert waiting.join(PATIENCE_SECONDS)
    assert (indices(slow), waiting.dropped, waiting.is_busy()) == (list(range(30)), 0, False)


def test_the_end_frees_a_put_that_waits(worker: Callable[..., SinkWorker]) -> None:
    slow = Held()
    waiting = worker(slow, drops=False)
    feeder = threading.Thread(target=lambda: [waiting.put(shared(index)) for index in range(30)])
    feeder.start()
    assert slow.entered.wait(PATIENCE_SECONDS)
    waiting.end()
    feeder.join(PATIENCE_SECONDS)
    assert not feeder.is_alive()


@pytest.mark.parametrize(
    ("problem", "is_logged"), [(OSError(28, "No space left on device"), False), (ValueError("a bug"), True)]
)
def test_a_sink_that_fails_is_reported_once_and_the_others_go_on(
    problem: Exception,
    is_logged: bool,
    worker: Callable[..., SinkWorker],
    errors: list[tuple[FrameSink, Exception]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing, good = Failing(3, problem), Kept()
    with caplog.at_level(logging.ERROR):
        outputs = Outputs([worker(failing, drops=False), worker(good, drops=False)], OverlayRenderer(0.5, None))
        for index in range(30):
            outputs.put(result(index))
        outputs.end()
        assert outputs.join(PATIENCE_SECONDS) == []
    assert errors == [(failing, problem)]
    assert (indices(failing), indices(good)) == ([0, 1, 2], list(range(30)))
    assert bool(caplog.records) is is_logged


def test_a_sink_that_fails_in_close_is_reported(
    worker: Callable[..., SinkWorker], errors: list[tuple[FrameSink, Exception]]
) -> None:
    failing = Failing(None, OSError(5, "Input/output error"))
    only = worker(failing)
    only.put(shared())
    only.end()
    assert only.join(PATIENCE_SECONDS)
    assert (errors, indices(failing)) == ([(failing, failing.problem)], [0])


def test_a_sink_that_has_enough_ends_the_stream_and_gets_no_more(
    worker: Callable[..., SinkWorker], errors: list[tuple[FrameSink, Exception]]
) -> None:
    window = Kept(enough=2)
    outputs = Outputs([worker(window, drops=False)], OverlayRenderer(0.5, None))
    assert not outputs.wants_end
    for index in range(30):
        outputs.put(result(index))
    assert outputs.workers[0].join(PATIENCE_SECONDS)
    assert (outputs.wants_end, indices(window), errors) == (True, [0, 1], [])


@pytest.mark.parametrize("in_close", [False, True])
def test_a_sink_that_hangs_is_left_when_its_time_is_over_and_finishes_later(
    in_close: bool, worker: Callable[..., SinkWorker]
) -> None:
    hanging, other_hanging, good = Held(in_close=in_close), Held(in_close=in_close), Kept()
    outputs = Outputs([worker(hanging), worker(other_hanging), worker(good)], OverlayRenderer(0.5, None))
    for index in range(3):
        outputs.put(result(index))
    outputs.end()
    assert outputs.workers[2].join(PATIENCE_SECONDS)
    began = time.monotonic()
    assert outputs.join(0.1) == [hanging, other_hanging]
    assert time.monotonic() - began < PATIENCE_SECONDS / 2
    assert indices(good) == [0, 1, 2]
    hanging.opened.set()
    assert outputs.workers[0].join(PATIENCE_SECONDS)
    assert (indices(hanging), hanging.closed) == ([0, 1, 2], 1)


def test_an_overlay_is_rendered_once_for_all_sinks_however_far_apart_they_are(
    worker: Callable[..., SinkWorker],
) -> None:
    renderer, slow, quick, labels = CountingRenderer(), Held(), Kept(), Labels()
    outputs = Outputs([worker(each) for each in (slow, quick, labels)], renderer)
    for index in range(5):
        outputs.put(result(index))
    wait_until_written(quick, 5)
    slow.opened.set()
    outputs.end()
    assert outputs.join(PATIENCE_SECONDS) == []
    assert renderer.count == 5
    for ours, others in zip(slow.overlays, quick.overlays):
        assert ours is others
    assert (len(slow.overlays), len(labels.results), labels.overlays) == (5, 5, [])


def test_no_overlay_is_rendered_for_sinks_of_labels(worker: Callable[..., SinkWorker]) -> None:
    renderer = CountingRenderer()
    outputs = Outputs([worker(Labels())], renderer)
    outputs.put(result())
    outputs.end()
    outputs.join(PATIENCE_SECONDS)
    assert renderer.count == 0


def test_a_stale_overlay_has_a_banner_and_a_legend_where_it_is_asked_for() -> None:
    fresh = OverlayRenderer(0.5, None).rendered(result())
    assert fresh.overlay is not None
    assert np.array_equal(fresh.overlay, result().prediction.render(result().frame.rgb(), opacity=0.5))
    stale = OverlayRenderer(0.5, None).rendered(result(stale=True))
    assert stale.overlay is not None
    changed = (stale.overlay != fresh.overlay).any(2)
    assert changed[-10:].mean() > 0.9
    assert not changed[:8].any()
    assert np.array_equal(result().frame.rgb(), Drawn.picture())  # the frame itself stays as it is
    large = Frame.from_rgb(0, 0.0, np.zeros((480, 640, 3), np.uint8))
    large_result = Result(large, SemanticMask(np.full((480, 640), 3, np.uint8), CAMVID_LABELS))
    with_legend = OverlayRenderer(0.5, Legend(CAMVID_LABELS.colors())).rendered(large_result)
    assert with_legend.overlay is not None
    assert len(np.unique(with_legend.overlay.reshape(-1, 3), axis=0)) > len(CAMVID_LABELS)


@pytest.mark.parametrize(
    ("wants", "legend", "stale", "is_rgb"),
    [
        (("video", "prediction"), False, False, False),
        (("video",), True, False, True),
        (("video",), False, True, True),
        (("video", "overlay"), False, False, True),
        (("overlay",), False, False, True),
    ],
)
def test_an_overlay_is_yuv_where_only_encoders_want_it_and_no_text_is_drawn(
    worker: Callable[..., SinkWorker], wants: tuple[Wants, ...], legend: bool, stale: bool, is_rgb: bool
) -> None:
    sinks = [Kept() for _ in wants]
    for sink, each in zip(sinks, wants):
        sink.wants = each
    planes = Planes("I420", tuple(np.full((32 // n, 64 // n), 128, np.uint8) for n in (1, 2, 2)), "bt601", True)
    frame = Frame(0, 0.0, 64, 32, rgb=Drawn.picture, planes=lambda: planes)
    drawn = Result(frame, SemanticMask(np.full((32, 64), 3, np.uint8), CAMVID_LABELS), stale=stale)
    renderer = OverlayRenderer(0.5, Legend(CAMVID_LABELS.colors()) if legend else None)
    outputs = Outputs([worker(sink) for sink in sinks], renderer)
    outputs.put(drawn)
    outputs.end()
    assert outputs.join(PATIENCE_SECONDS) == []
    rendered = sinks[0].results[0]
    assert (rendered.overlay is not None, rendered.overlay_planes is not None) == (is_rgb, not is_rgb)
    assert rendered.overlay_for_video() is (rendered.overlay if is_rgb else rendered.overlay_planes)


def test_old_results_are_repeated_only_to_sinks_that_show_video(worker: Callable[..., SinkWorker]) -> None:
    window, file = Showing(), Kept()
    outputs = Outputs([worker(window), worker(file)], OverlayRenderer(0.5, None))
    outputs.put(result(0))
    outputs.put(result(0, stale=True), repeated=True)
    outputs.end()
    outputs.join(PATIENCE_SECONDS)
    assert [each.stale for each in window.results] == [False, True]
    assert [each.stale for each in file.results] == [False]


def test_the_patience_with_sinks_is_stated() -> None:
    assert 5 <= output.CLOSE_SECONDS <= 30


def test_a_sink_that_drops_frames_for_a_while_is_reported_once_and_so_is_its_recovery() -> None:
    events, sink = list[StreamEvent](), Kept()
    stream = RunningStream(StreamConfig("s", Drawn(1)), threading.Condition(), OverlayRenderer(0.5), events.append)
    stream.watch_sinks()
    stream.outputs = SimpleNamespace(sinks=[sink])
    lost = UnavailableError("the server is away", hint="start it", code="ES-PUBLISH")
    for problem in (None, lost, UnavailableError("still away", hint="", code="ES-PUBLISH"), None, None, lost):
        sink.problem = problem
        stream.watch_sinks()
    assert [(event.kind, event.code) for event in events] == [
        ("sink", "ES-PUBLISH"),
        ("sink", ""),
        ("sink", "ES-PUBLISH"),
    ]
    assert (events[0].message, events[0].hint) == ("the server is away", "start it")

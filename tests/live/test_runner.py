"""Many streams through one engine, with fakes: what happens when one of them fails, hangs or ends."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_streams import Drawn, Judging, Kept

from edgeseg.capture.state import StreamEvent, StreamState
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.errors import DataError, FileProblem, FormatError, UnavailableError
from edgeseg.live import runner as runner_module
from edgeseg.live.runner import MOST_ERRORS, LiveReport, LiveRunner
from edgeseg.live.stream import RATE_SECONDS, Rate, RunningStream, StreamConfig
from edgeseg.predictions import SemanticMask
from edgeseg.segmenter import PredictionFuture
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result
from edgeseg.video.source import FrameSource, SourceInfo, SourceKind

PATIENCE_SECONDS = 60.0  # far more than this takes: only a hang reaches it
ENGINE_SECONDS = 0.002


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.0005)


class Engine:
    """A segmenter that gives one class. fails: numbers of the images for which it raises, at their submission or
    when their result is asked for.
    """

    def __init__(self, *, slots: int = 1, fails: range = range(0), late: bool = False, seconds: float = 0.0) -> None:
        self.slots, self.fails, self.late, self.seconds = slots, fails, late, seconds
        self.batch = 1
        self.spec = SimpleNamespace(labels=CAMVID_LABELS)
        self.artifact = SimpleNamespace(spec=SimpleNamespace(name="fake"), engine="none", precision="fp32")
        self.submitted = 0
        self.in_flight: list[PredictionFuture] = []
        self.most_in_flight = 0

    def submit(self, frame: Frame, size: object = None, *, overlay_opacity: float | None = None) -> PredictionFuture:
        number, self.submitted = self.submitted, self.submitted + 1
        fails = number in self.fails
        if fails and not self.late:
            raise RuntimeError(f"image {number}")

        def finish(future: PredictionFuture) -> SemanticMask:
            self.in_flight.remove(future)
            if fails:
                raise RuntimeError(f"image {number}")
            time.sleep(self.seconds)
            future.milliseconds = {"total": 2.0}
            return SemanticMask(np.full(frame.size, 3, np.uint8), CAMVID_LABELS)

        future = PredictionFuture(finish)
        self.in_flight.append(future)
        self.most_in_flight = max(self.most_in_flight, len(self.in_flight))
        return future


class Camera(FrameSource):
    """A live source of `frames` frames, or without end; then it is silent until it is closed."""

    kind: SourceKind = "live"

    def __init__(self, name: str = "camera", frames: int | None = None, *, ends: bool = False) -> None:
        super().__init__(SourceInfo(64, 32, Fraction(25), None, name))
        self.closing, self.frames, self.ends, self.closed = threading.Event(), frames, ends, 0
        self.handed_on = 0  # frames that have reached the runner

    def _frames(self) -> Generator[Frame, None, None]:
        index = 0
        while (self.frames is None or index < self.frames) and not self.closing.wait(0.0005):
            now = time.monotonic()
            yield Frame.from_rgb(index, index / 25, Drawn.picture(index % 7), captured_at=now)
            index += 1
            self.handed_on = index
        if not self.ends:
            self.closing.wait(PATIENCE_SECONDS)

    def wait_frames(self, count: int) -> None:
        """Wait until so many frames more than now have reached the runner."""
        wanted = self.handed_on + count
        wait_until(lambda: self.handed_on >= wanted)

    def close(self) -> None:
        super().close()
        self.closed += 1
        self.closing.set()


class Hanging(Camera):
    """A camera that hangs after three frames, or in close, until it is released."""

    def __init__(self, *, in_close: bool) -> None:
        super().__init__("hanging", None if in_close else 3)
        self.in_close, self.released = in_close, threading.Event()

    def _frames(self) -> Generator[Frame, None, None]:
        for frame in super()._frames():
            yield frame
            if not self.in_close and frame.index == 2:
                self.released.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        if self.in_close:
            self.released.wait(PATIENCE_SECONDS)
        super().close()


class Showing(Kept):
    """A sink that repeats old results."""

    repeats = True


def run_of(sources: dict[str, FrameSource], engine: Engine | None = None, **options: Any) -> LiveRunner:
    sinks = options.pop("sinks", {})
    weights = options.pop("weights", {})
    configs = [
        StreamConfig(name, source, lambda info, name=name: sinks.get(name, ()), weights.get(name, 1.0))
        for name, source in sources.items()
    ]
    return LiveRunner(configs, engine or Engine(), **options)  # type: ignore[arg-type]


def run_until(
    runner: LiveRunner, is_enough: Callable[[Counter[str]], bool], ready: Sequence[Camera] = ()
) -> tuple[list[str], LiveReport]:
    """Run until the counts of results by stream are enough: the names in the order of the results.

    ready: cameras that have handed on two further frames before the next image is chosen, so that one waits.
    """
    names: list[str] = []

    def on_result(name: str, result: Result) -> None:
        names.append(name)
        if is_enough(Counter(names)):
            runner.stop.set()
            return
        for camera in ready:
            camera.wait_frames(2)

    return names, runner.run(on_result)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine does not make the runner leave a source or a sink behind."""
    monkeypatch.setattr(runner_module, "LEAVE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(runner_module, "CLOSE_SECONDS", PATIENCE_SECONDS)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + PATIENCE_SECONDS
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, until - time.monotonic()))
        assert not thread.is_alive()


def test_a_dead_camera_holds_up_no_other_and_the_living_ones_share_the_engine() -> None:
    living = Camera("a"), Camera("b")
    cameras: dict[str, FrameSource] = {"a": living[0], "dead": Camera("dead", 0), "b": living[1]}
    names, report = run_until(run_of(cameras), lambda counts: counts.total() == 100, living)
    assert sorted(set(names)) == ["a", "b"]
    assert abs(names.count("a") - names.count("b")) <= 2
    assert [status.frames for status in report.streams] == [names.count("a"), 0, names.count("b")]
    assert [status.state for status in report.streams][1] is StreamState.CONNECTING
    assert report.interrupted
    assert report.streams[0].dropped > 0
    assert all(camera.closed for camera in cameras.values())


def test_a_stream_of_three_times_the_weight_gets_three_times_the_images() -> None:
    cameras = Camera("a"), Camera("b")
    runner = run_of(dict(zip("ab", cameras)), weights={"b": 3.0})
    names, _ = run_until(runner, lambda counts: counts.total() == 80, cameras)
    assert abs(names.count("b") - 3 * names.count("a")) <= 4


@pytest.mark.parametrize("slots", [1, 3])
def test_recordings_lose_no_frame_and_end(slots: int) -> None:
    sinks, engine = {"a": [Kept(), Kept()], "b": [Kept()]}, Engine(slots=slots)
    recordings, submit = {"a": Drawn(40), "b": Drawn(7)}, engine.submit

    def submit_when_more_wait(*given: Any, **named: Any) -> PredictionFuture:
        wait_until(lambda: all(recording.made >= 3 for recording in recordings.values()))
        return submit(*given, **named)

    engine.submit = submit_when_more_wait  # type: ignore[method-assign]
    events: list[StreamEvent] = []
    runner = run_of({**recordings}, engine, sinks=sinks, on_event=events.append)
    report = runner.run()
    for sink in sinks["a"]:
        assert [frame.index for frame in sink.frames] == list(range(40))
    assert [frame.index for frame in sinks["b"][0].frames] == list(range(7))
    assert [(status.frames, status.dropped, status.state) for status in report.streams] == [
        (40, 0, StreamState.ENDED), (7, 0, StreamState.ENDED),
    ]  # fmt: skip
    assert not report.interrupted
    assert report.latency[0]["total"].n == 40
    assert engine.most_in_flight == slots
    assert {(event.stream, event.state) for event in events} == {
        (name, state) for name in "ab" for state in (StreamState.LIVE, StreamState.ENDED)
    }
    assert report.to_dict()["streams"][1]["latency"]["total"]["n"] == 7


@pytest.mark.parametrize("slots", [1, 3])
def test_each_stream_gives_as_many_results_as_are_wanted_and_no_more(slots: int) -> None:
    sinks = {"a": [Kept()], "b": [Kept()]}
    cameras: dict[str, FrameSource] = {"a": Camera(), "b": Drawn(1000)}
    report = run_of(cameras, Engine(slots=slots), sinks=sinks, frames=20).run()
    assert [status.frames for status in report.streams] == [20, 20]
    written = [len(sink[0].frames) for sink in sinks.values()]
    assert written == [20 - report.streams[0].unwritten, 20]
    assert not report.interrupted


def test_a_stream_that_has_enough_results_is_closed_while_others_go_on() -> None:
    early, late = Camera("early"), Camera("late", 0)
    runner = run_of({"early": early, "late": late}, frames=3)
    running = threading.Thread(target=runner.run)
    running.start()
    assert early.closing.wait(PATIENCE_SECONDS)
    assert not late.closing.is_set()
    runner.stop.set()
    running.join(PATIENCE_SECONDS)


class Closing(Kept):
    """A sink that notes its end."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize(("source", "frames"), [(Drawn(3), None), (Drawn(1000), 3)])
def test_the_files_of_a_stream_that_has_ended_are_finished_while_others_go_on(
    source: FrameSource, frames: int | None
) -> None:
    sink = Closing()
    runner = run_of({"early": source, "late": Camera("late", 0)}, sinks={"early": [sink]}, frames=frames)
    running = threading.Thread(target=runner.run)
    running.start()
    closed = sink.closed.wait(PATIENCE_SECONDS)
    runner.stop.set()
    running.join(PATIENCE_SECONDS)
    assert closed
    assert len(sink.frames) == 3


def test_the_stop_token_ends_a_run_of_silent_cameras() -> None:
    stop = threading.Event()
    runner = run_of({"a": Camera("a", 0), "b": Camera("b", 1)}, stop=stop)
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    report = runner.run()
    assert report.interrupted
    assert time.monotonic() - began < PATIENCE_SECONDS / 2


def test_a_stop_before_the_first_frame_is_no_error() -> None:
    stop = threading.Event()
    stop.set()
    for _ in range(20):
        assert run_of({"a": Camera(), "b": Drawn(5)}, stop=stop).run().interrupted


def test_a_source_that_raises_ends_alone_and_says_why() -> None:
    events: list[StreamEvent] = []
    problem = DataError("frame 5 is torn", hint="make it again", code="ES-DATA")
    runner = run_of({"bad": Drawn(20, fails=problem), "good": Drawn(20)}, on_event=events.append)
    report = runner.run()
    assert [status.frames for status in report.streams] == [5, 20]
    (failed,) = [event for event in events if event.code]
    assert (failed.stream, failed.state, failed.code) == ("bad", StreamState.ENDED, "ES-DATA")
    assert (failed.message, failed.hint) == ("frame 5 is torn", "make it again")
    assert report.streams[0].event == failed
    assert report.failures == (failed,)
    assert failed in runner.events()


def test_an_error_that_is_not_of_edgeseg_has_the_code_of_any_other() -> None:
    report = run_of({"bad": Drawn(20, fails=ValueError("a bug")), "good": Drawn(20)}).run()
    (failed,) = report.failures
    assert (failed.stream, failed.message, failed.code, failed.hint) == ("bad", "a bug", "ES-ERROR", "")
    assert report.streams[0].event == failed


def test_the_error_is_raised_where_every_source_failed() -> None:
    first, second = ValueError("first"), ValueError("second")
    sink = Kept()
    runner = run_of({"a": Drawn(20, fails=first), "b": Drawn(20, fails=second)}, sinks={"a": [sink]})
    with pytest.raises(ValueError, match="first"):
        runner.run()
    assert [status.frames for status in runner.statuses()] == [5, 5]
    assert len(sink.frames) == 5


@pytest.mark.parametrize("late", [False, True])
def test_an_engine_that_fails_once_loses_one_image(late: bool) -> None:
    events: list[StreamEvent] = []
    engine = Engine(fails=range(3, 4), late=late)
    report = run_of({"a": Drawn(20)}, engine, on_event=events.append).run()
    assert report.streams[0].frames == 19
    assert [(event.kind, event.code, event.message) for event in events if event.code] == [
        ("error", "ES-RUN", "image 3")
    ]


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("late", [False, True])
def test_an_engine_that_only_fails_ends_the_run_and_closes_everything(late: bool, slots: int) -> None:
    engine = Engine(late=late, slots=slots)
    camera, recording, sink = Camera(), Drawn(1000), Kept()
    runner = run_of({"a": camera, "b": recording}, engine, sinks={"b": [sink]})

    def fail_from_now_on(name: str, result: Result) -> None:
        if name == "b" and not engine.fails:  # the sink is open
            engine.fails = range(engine.submitted, 10**9)

    with pytest.raises(RuntimeError, match="image"):
        runner.run(fail_from_now_on)
    assert engine.submitted <= engine.fails.start + MOST_ERRORS + slots
    assert engine.in_flight == []
    assert camera.is_closed()
    assert recording.is_closed()
    assert runner.sinks() == [sink]


def test_a_callback_that_raises_ends_the_run_and_closes_everything() -> None:
    camera, closed = Camera(), threading.Event()

    class Closing(Kept):
        def close(self) -> None:
            closed.set()

    runner = run_of({"a": camera}, Engine(slots=2), sinks={"a": [Closing()]})

    def on_result(name: str, result: Result) -> None:
        raise KeyError("a bug of the user's")

    with pytest.raises(KeyError, match="a bug"):
        runner.run(on_result)
    assert camera.is_closed()
    assert closed.is_set()


def test_an_observer_that_raises_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def observe(event: StreamEvent) -> None:
        raise KeyError("a bug of the user's")

    assert run_of({"a": Drawn(5)}, on_event=observe).run().streams[0].frames == 5
    assert "observer" in caplog.text


@pytest.mark.parametrize("in_close", [False, True])
def test_a_source_that_hangs_is_left_when_its_time_is_over(in_close: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "LEAVE_SECONDS", 0.2)
    hanging, sink = Hanging(in_close=in_close), Kept()
    runner = run_of({"hanging": hanging, "good": Camera()}, sinks={"good": [sink]})
    began = time.monotonic()
    names, report = run_until(runner, lambda counts: counts["good"] >= 30 and counts["hanging"] >= 1)
    assert time.monotonic() - began < PATIENCE_SECONDS / 2
    assert len(sink.frames) + report.streams[1].unwritten == names.count("good")
    assert report.streams[0].frames == names.count("hanging")
    hanging.released.set()


def test_a_source_that_raises_in_close_is_no_error_of_the_run(caplog: pytest.LogCaptureFixture) -> None:
    class Rude(Drawn):
        def close(self) -> None:
            super().close()
            raise OSError(5, "Input/output error")

    assert run_of({"a": Rude(3)}).run().streams[0].frames == 3
    assert "closing the source failed" in caplog.text


def test_a_sink_of_a_recording_that_hangs_does_not_hold_up_other_streams_or_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner_module, "CLOSE_SECONDS", 0.2)
    released = threading.Event()

    class Stuck(Kept):
        def _write(self, result: Result) -> bool:
            released.wait(PATIENCE_SECONDS)
            return super()._write(result)

    def is_enough(counts: Counter[str]) -> bool:
        nonlocal since
        since += counts["stuck"] >= 5  # one that is being written, and four that wait
        return since > 100

    since = 0
    events: list[StreamEvent] = []
    sinks = {"stuck": [Stuck()], "good": [Kept()]}
    runner = run_of({"stuck": Drawn(1000), "good": Camera()}, sinks=sinks, on_event=events.append)
    names, _ = run_until(runner, is_enough)
    assert names.count("stuck") < 20 < names.count("good")
    assert ("sink", "ES-SINK") in [(event.kind, event.code) for event in events]
    released.set()


class Publishing(Kept):
    """A sink that drops frames, and goes on trying, at its frames number `outage`."""

    def __init__(self, outage: range) -> None:
        super().__init__()
        self.outage = outage

    def _write(self, result: Result) -> bool:
        away = UnavailableError("the server is away", hint="start it", code="ES-PUBLISH")
        self.problem = away if len(self.results) in self.outage else None
        return super()._write(result)


@pytest.mark.parametrize(("outage", "codes"), [(range(10), []), (range(10, 20), ["ES-PUBLISH"])])
def test_a_sink_that_has_recovered_at_the_end_is_no_failure(outage: range, codes: list[str]) -> None:
    report = run_of({"a": Drawn(20)}, sinks={"a": [Publishing(outage)]}).run()
    assert [event.code for event in report.failures] == codes
    assert [event["code"] for event in report.to_dict()["failures"]] == codes


def test_sinks_that_do_not_open_stop_alone() -> None:
    def broken(info: SourceInfo) -> list[Kept]:
        raise FileProblem("the disk is full", hint="free some", code="ES-FILE-WRITE")

    events: list[StreamEvent] = []
    good = Kept()
    configs = [StreamConfig("bad", Drawn(5), broken), StreamConfig("good", Drawn(5), lambda info: [good])]
    report = LiveRunner(configs, Engine(), on_event=events.append).run()  # type: ignore[arg-type]
    assert [status.frames for status in report.streams] == [5, len(good.frames)] == [5, 5]
    assert [event.code for event in report.failures] == ["ES-FILE-WRITE"]
    assert [(event.stream, event.kind, event.code) for event in events if event.code] == [
        ("bad", "sink", "ES-FILE-WRITE")
    ]


def test_a_run_none_of_whose_sinks_opens_ends() -> None:
    def broken(info: SourceInfo) -> list[Kept]:
        raise FileProblem("the disk is full", hint="free some", code="ES-FILE-WRITE")

    stop = threading.Event()
    runner = LiveRunner([StreamConfig("a", Camera(), broken)], Engine(), stop=stop, ends_with_sinks=True)
    timer = threading.Timer(PATIENCE_SECONDS, stop.set)
    timer.start()
    report = runner.run()
    timer.cancel()
    assert not report.interrupted


def test_a_window_that_is_closed_ends_the_run() -> None:
    window = Kept(enough=3)
    report = run_of({"a": Camera(), "b": Camera()}, sinks={"a": [window]}).run()
    assert report.interrupted
    assert len(window.frames) == 3


def test_another_thread_sees_states_results_and_events() -> None:
    runner = run_of({"a": Camera("a"), "b": Camera("b", 0)}, Engine(seconds=ENGINE_SECONDS))
    seen: list[tuple[Any, ...]] = []

    def watch() -> None:
        while not runner.stop.is_set():
            latest = runner.latest("a")
            statuses, events = runner.statuses(), runner.events()
            if latest is not None and statuses[0].fps > 0 and events:
                seen.append((latest, statuses, events, runner.engine_seconds()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    run_until(runner, lambda counts: counts["a"] >= 100 and bool(seen))
    watcher.join(PATIENCE_SECONDS)
    latest, statuses, events, _ = seen[-1]
    assert isinstance(latest, Result)
    assert (latest.prediction.labels == 3).all()
    assert (statuses[0].name, statuses[0].state, statuses[0].width) == ("a", StreamState.LIVE, 64)
    assert (statuses[1].state, statuses[1].age_seconds, statuses[1].fps) == (StreamState.CONNECTING, None, 0)
    assert statuses[0].milliseconds == {"total": 2.0}
    assert statuses[0].shares[CAMVID_LABELS.names[3]] == 1.0
    assert 0 <= statuses[0].age_seconds < PATIENCE_SECONDS
    assert events[0].state is StreamState.LIVE
    seconds = [pair for each in seen for pair in each[3]] + runner.engine_seconds()
    assert set(seconds) == {("a", 0.002)}
    assert len(seconds) >= 100
    assert runner.latest("b") is None
    assert runner.engine == "fake, none fp32"
    assert runner.labels is CAMVID_LABELS
    with pytest.raises(KeyError):
        runner.latest("c")


def test_the_last_result_of_a_silent_camera_is_repeated_as_stale_to_sinks_that_show_video(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner_module, "REPEAT_SECONDS", PATIENCE_SECONDS)
    stop = threading.Event()

    class Window(Showing):
        def _write(self, result: Result) -> bool:
            runner_module.REPEAT_SECONDS = 0.01  # not before it has the first one, which repeats might replace
            if len(self.results) >= 5 and quiet.results:
                stop.set()
            return super()._write(result)

    window, file, quiet = Window(), Kept(), Kept()
    sinks = {"a": [window, file], "b": [quiet]}
    report = run_of({"a": Camera("a", 1), "b": Camera("b", 1)}, sinks=sinks, stop=stop).run()
    fresh, *repeats = window.results
    assert not fresh.stale
    assert len(repeats) >= 5
    for repeat in repeats:
        assert repeat.stale
        assert repeat.prediction is fresh.prediction
        assert repeat.overlay is not None
    times = [result.frame.pts_seconds for result in window.results]
    assert times == sorted(set(times))
    assert [result.stale for result in file.results + quiet.results] == [False, False]
    assert [status.frames for status in report.streams] == [1, 1]
    assert report.streams[0].stale >= 5
    assert report.streams[1].stale == 0


def test_a_recording_and_a_camera_that_ended_repeat_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "REPEAT_SECONDS", 0.0)
    sinks = {"a": [Showing()], "b": [Showing()], "c": [Kept()]}
    sources: dict[str, FrameSource] = {"a": Drawn(2), "b": Camera("b", 2, ends=True), "c": Camera("c")}
    runner = run_of(sources, sinks=sinks)

    def is_enough(counts: Counter[str]) -> bool:
        return counts["c"] >= 50 and counts["a"] == 2 and runner.statuses()[1].state is StreamState.ENDED

    run_until(runner, is_enough)
    assert [result.stale for result in sinks["a"][0].results] == [False, False]
    statuses = runner.statuses()
    assert statuses[0].stale == 0
    assert statuses[1].state is StreamState.ENDED


def test_closing_the_results_ends_the_run() -> None:
    camera = Camera()
    runner = run_of({"a": camera}, Engine(slots=2))
    results = runner.results()
    name, result = next(results)
    assert (name, result.frame.size) == ("a", (32, 64))
    results.close()
    assert camera.is_closed()
    assert not runner.report().interrupted


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_streams_have_names_of_their_own(names: list[str]) -> None:
    with pytest.raises(FormatError):
        LiveRunner([StreamConfig(name, Drawn(1)) for name in names], Engine())  # type: ignore[arg-type]


def test_a_rate_counts_the_last_seconds_and_keeps_no_more() -> None:
    rate = Rate()
    assert rate.per_second(0.0) == 0.0
    for n in range(100_000):  # an hour at 25 fps
        rate.add(n / 25)
    assert len(rate._times) <= 25 * RATE_SECONDS + 2
    assert rate.per_second(rate.last_at or 0.0) == pytest.approx(25, rel=0.01)
    assert rate.per_second((rate.last_at or 0.0) + 2.5) == pytest.approx(12.5, rel=0.05)
    assert rate.per_second((rate.last_at or 0.0) + 6) == 0.0


def test_what_comes_while_a_status_is_made_does_not_count() -> None:
    """Or its age were below 0, and the rate of two frames within a moment as good as endless."""
    mask = SemanticMask(np.zeros((32, 64), np.uint8), CAMVID_LABELS)
    asks = False

    def clock() -> float:
        if asks:
            for at in (10.001, 10.002):
                stream.latest = Result(Frame.from_rgb(0, 0.0, Drawn.picture(), captured_at=at), mask)
                stream._frames.add(at)
        return 10.0

    stream = RunningStream(
        StreamConfig("a", Camera("a", 0)), threading.Condition(), SimpleNamespace(), lambda event: None, clock
    )
    asks = True
    status = stream.status()
    assert (status.age_seconds, status.source_fps) == (None, 0.0)


def test_memory_of_a_stream_that_nobody_watches_does_not_grow() -> None:
    stream = RunningStream(
        StreamConfig("a", Camera("a", 0)), threading.Condition(), SimpleNamespace(), lambda event: None,
        clock=iter(n / 25 for n in range(10**7)).__next__,
    )  # fmt: skip
    frame = Frame.from_rgb(0, 0.0, Drawn.picture())
    result = Result(frame, SemanticMask(np.zeros((32, 64), np.uint8), CAMVID_LABELS))
    for _ in range(5000):
        stream.add(result)
    assert len(stream._results._times) < 200


class Full(Kept):
    """A sink on a full disk."""

    def _write(self, result: Result) -> bool:
        raise FileProblem("cannot write", hint="free space", code="ES-FILE-WRITE")


@pytest.mark.parametrize(("working", "goes_on"), [([], False), ([Judging], False), ([Judging, Kept], True)])
def test_a_run_ends_when_a_sink_has_failed_and_no_output_is_left(working: list[type[Kept]], goes_on: bool) -> None:
    sinks = [Full(), *(kind() for kind in working)]
    stop = threading.Event()
    runner = LiveRunner([StreamConfig("a", Camera(), lambda info: sinks)], Engine(), stop=stop, ends_with_sinks=True)
    since = 0  # results behind the failure

    def on_result(name: str, result: Result) -> None:
        nonlocal since
        since += any(event.kind == "sink" for event in runner.events())
        if since == 20:
            stop.set()

    timer = threading.Timer(PATIENCE_SECONDS, stop.set)
    timer.start()
    report = runner.run(on_result)
    timer.cancel()
    assert report.interrupted == goes_on  # until the stop
    assert [event.code for event in runner.events() if event.kind == "sink"] == ["ES-FILE-WRITE"]


def test_a_frame_of_any_live_source_that_waited_too_long_is_not_processed() -> None:
    taken = threading.Event()

    class Late(Camera):
        """Its second frame is older than it may be."""

        max_age_seconds = PATIENCE_SECONDS

        def _frames(self) -> Generator[Frame, None, None]:
            for index, age in enumerate((0.0, 2 * PATIENCE_SECONDS)):
                yield Frame.from_rgb(index, index / 25, Drawn.picture(), captured_at=time.monotonic() - age)
                taken.wait(PATIENCE_SECONDS)  # or a newer frame would replace it

    runner = LiveRunner([StreamConfig("late", Late())], Engine())
    (status,) = runner.run(lambda name, result: taken.set()).streams
    assert (status.frames, status.too_old) == (1, 1)

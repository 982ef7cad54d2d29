"""One stream of a runner: its source, its inbox, its outputs and what is known of it."""

from __future__ import annotations

import dataclasses
import logging
import math
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgeseg.capture.state import StreamEvent, StreamState
from edgeseg.errors import EdgeSegError
from edgeseg.live.inbox import Inbox
from edgeseg.live.output import Outputs, SinkWorker, UnopenedSink
from edgeseg.live.status import StreamStatus
from edgeseg.live.trigger import Trigger
from edgeseg.measure.recorder import LatencyRecorder
from edgeseg.predictions.semantic import SemanticMask
from edgeseg.video.frame import Frame
from edgeseg.video.overlay import OverlayRenderer
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, losses_of
from edgeseg.video.source import FrameSource, Loss, SourceInfo

logger = logging.getLogger(__name__)

RATE_SECONDS = 5.0  # over which rates are counted
SHARE_PIXELS = 1 << 17  # of a mask that are counted for its shares
RECENT = 100  # results whose stages give the medians
OpenSinks = Callable[[SourceInfo], Sequence[FrameSink]]


def no_sinks(info: SourceInfo) -> Sequence[FrameSink]:
    """The sinks of a stream whose results only a callback or the page uses."""
    return ()


@dataclass(frozen=True)
class StreamConfig:
    """A stream to run.

    open_sinks: called with the source's info when the first result exists; they are closed by the runner.
    weight: the share of the engine's time, relative to other streams. triggers: events about classes in zones.
    """

    name: str
    source: FrameSource
    open_sinks: OpenSinks = no_sinks
    weight: float = 1.0
    triggers: Sequence[Trigger] = ()


@dataclass
class Counters:
    """What happened to the frames of a stream."""

    results: int = 0
    stale: int = 0
    too_old: int = 0


class Rate:
    """Counts how often something happens. One thread may `add` while others ask."""

    def __init__(self) -> None:
        self.last_at: float | None = None
        self._times: deque[float] = deque()

    def add(self, now: float) -> None:
        """It happened."""
        while self._times and self._times[0] < now - RATE_SECONDS:
            self._times.popleft()
        self._times.append(now)
        self.last_at = now

    def per_second(self, now: float) -> float:
        """How often it happened per second, over the last 5 s."""
        times = [time for time in list(self._times) if now - RATE_SECONDS <= time <= now]
        return (len(times) - 1) / max(1e-9, now - times[0]) if len(times) > 1 else 0.0


class RunningStream:
    """A stream while it runs. Its decoding thread is started by `start`; all other methods belong to the runner.

    changed: notified when a frame comes, a sink has room again or the source ends.
    """

    def __init__(
        self,
        config: StreamConfig,
        changed: threading.Condition,
        renderer: OverlayRenderer,
        on_event: Callable[[StreamEvent], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.source, self._config = config.name, config.source, config
        self.is_live = config.source.kind == "live"
        self.inbox = Inbox(changed, newest=self.is_live)
        self.counters, self.recorder = Counters(), LatencyRecorder()
        self.latest: Result | None = None
        self.outputs: Outputs | None = None
        self.renderer = renderer
        self._state, self._since = StreamState.CONNECTING, clock()
        self._last_error: StreamEvent | None = None
        self._failures: list[StreamEvent] = []  # of the source and of sinks, which ended before their time
        self._clock, self._on_event = clock, on_event
        self._results, self._frames, self._repeats = Rate(), Rate(), Rate()
        self._recent: deque[Mapping[str, float]] = deque(maxlen=RECENT)
        self._changed, self._leaving, self._has_states = changed, False, False
        self._threads: list[threading.Thread] = []
        self._troubled: set[str] = set()  # the names of sinks that drop frames

    def start(self) -> None:
        """Start decoding."""
        self._has_states = self.source.report_to(self._source_event)
        frames = iter(self.source)  # here: another thread may close the source before the decoding thread runs
        self._in_thread("decode", lambda: self._decode(frames))

    def _in_thread(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=f"edgeseg-{name}-{self.name}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _decode(self, frames: Iterator[Frame]) -> None:
        error: BaseException | None = None
        try:
            for frame in frames:
                if not self._has_states and self._state is not StreamState.LIVE:
                    self.event(StreamEvent(self.name, "state", "frames arrive", state=StreamState.LIVE))
                self._frames.add(self._clock())
                if not self.inbox.put(frame):
                    break
        except BaseException as problem:  # handed to the runner
            error = problem
        finally:
            self.inbox.end(error)

    def _source_event(self, event: StreamEvent) -> None:
        self.event(dataclasses.replace(event, stream=self.name))

    def event(self, event: StreamEvent) -> None:
        """Note an event of this stream, and tell the observers."""
        if event.state is not None:
            self._state, self._since = event.state, self._clock()
        if event.code:
            self._last_error = event
        self._on_event(event)

    def finished(self) -> None:
        """All frames of the source are processed, or it failed."""
        if self.inbox.error is not None:
            self._failed(StreamEvent.of_error(self.name, "state", self.inbox.error, state=StreamState.ENDED))
        elif self._state is not StreamState.ENDED:
            self.event(StreamEvent(self.name, "state", "the source ended", state=StreamState.ENDED))

    def _failed(self, event: StreamEvent) -> None:
        self._failures.append(event)
        self.event(event)

    def is_too_old(self, frame: Frame) -> bool:
        """Whether a frame waited for the engine for too long; it is counted then."""
        if frame.captured_at is None:  # of a recording
            return False
        too_old = self._clock() - frame.captured_at > self.source.max_age_seconds
        self.counters.too_old += too_old
        return too_old

    def add(self, result: Result) -> None:
        """A new result: count it, and have it written."""
        self.latest = result
        self.counters.results += 1
        self._results.add(self._clock())
        self._recent.append(result.milliseconds)
        for stage, milliseconds in result.milliseconds.items():
            self.recorder.add(stage, milliseconds)
        for trigger in self._config.triggers:
            event = trigger.update(self.name, result, self._clock())
            if event is not None:
                self.event(event)
        self._write(result)

    def repeat(self, after_seconds: float) -> None:
        """Where no result came for a while: write the last one again, marked stale, to sinks that show video."""
        now, latest, last_at = self._clock(), self.latest, self._results.last_at
        if latest is None or last_at is None or not self.is_live or self.outputs is None:
            return
        silent = now - max(last_at, self._repeats.last_at or last_at)
        if silent < after_seconds or not any(sink.repeats for sink in self.sinks()):
            return
        self._repeats.add(now)
        self.counters.stale += 1
        frame = latest.frame
        pts_seconds = frame.pts_seconds + now - last_at
        again = Frame(
            frame.index, pts_seconds, frame.width, frame.height, rgb=frame.rgb, captured_at=frame.captured_at,
            sequence=frame.sequence,
        )  # fmt: skip
        self.outputs.put(Result(again, latest.prediction, stale=True), repeated=True)

    def _write(self, result: Result) -> None:
        if self.outputs is None:
            self.outputs = Outputs([self._worker(sink) for sink in self._opened()], self.renderer)
        self.outputs.put(result)

    def sinks(self) -> list[FrameSink]:
        """The sinks that were opened; none before the first result."""
        return self.outputs.sinks if self.outputs else []

    def watch_sinks(self) -> None:
        """Report each sink that begins to drop frames while it goes on trying, and each that works again."""
        for sink in self.sinks():
            problem, name = sink.problem, sink.name
            if (problem is None) == (name not in self._troubled):
                continue
            if problem is None:
                self._troubled.remove(name)
                self.event(StreamEvent(self.name, "sink", f"{name} works again"))
            else:
                self._troubled.add(name)
                self.event(StreamEvent.of_error(self.name, "sink", problem))

    def failures(self) -> list[StreamEvent]:
        """The source or sinks that ended before their time, and the sinks that drop frames now."""
        problems = [sink.problem for sink in self.sinks()]
        dropping = [StreamEvent.of_error(self.name, "sink", problem) for problem in problems if problem is not None]
        return [*self._failures, *dropping]

    def losses(self) -> tuple[Loss, ...]:
        """What a recording could not deliver; of a source that reconnects the events say it."""
        return () if self._has_states else losses_of(self.source, self.sinks())

    def _opened(self) -> Sequence[FrameSink]:
        """The sinks of this stream. Where they do not open, that ends no other stream."""
        try:
            return self._config.open_sinks(self.source.info)
        except (EdgeSegError, OSError) as problem:
            return [UnopenedSink("outputs", problem)]

    def _worker(self, sink: FrameSink) -> SinkWorker:
        return SinkWorker(
            sink,
            drops=self.is_live,
            on_error=lambda sink, problem: self._report_sink(sink.name, problem),
            on_room=self._notify,
        )

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def is_ready(self) -> bool:
        """Whether a frame waits, and its result can be written soon. The caller holds the condition."""
        return self.inbox.is_ready() and not (self.outputs is not None and self.outputs.is_busy())

    def _report_sink(self, name: str, problem: Exception) -> None:
        self._failed(StreamEvent.of_error(self.name, "sink", problem, "ES-SINK", prefix=f"{name} stopped: "))

    def leave(self) -> None:
        """End decoding, without waiting."""
        if not self._leaving:
            self._leaving = True
            self.inbox.end()
            self._in_thread("close", self._close_source)  # a close may hang

    def _close_source(self) -> None:
        try:
            self.source.close()
        except Exception:
            logger.exception("%s: closing the source failed", self.name)

    def end_outputs(self) -> None:
        """Have the sinks finish, without waiting."""
        if self.outputs is not None:
            self.outputs.end()

    def join(self, source_seconds: float, sink_seconds: float) -> None:
        """Wait for the threads to end; what hangs is left to its daemon thread."""
        until = time.monotonic() + source_seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for sink in self.outputs.join(sink_seconds) if self.outputs else []:
            message = f"{sink.name} did not close in time"
            self._failed(StreamEvent(self.name, "sink", message, code="ES-SINK", hint="check the disk or the server"))

    def status(self) -> StreamStatus:
        """The state now, from any thread."""
        latest, source = self.latest, self.source
        now = self._clock()  # later than that result
        info, counters = source.info, self.counters
        recent = list(self._recent)
        stages = {stage: statistics.median(sample[stage] for sample in recent if stage in sample) for stage in
                  (recent[-1] if recent else {})}  # fmt: skip
        mask = latest.prediction if latest else None
        captured_at = latest.frame.captured_at if latest else None
        return StreamStatus(
            self.name,
            info.name,
            self._state,
            width=info.width,
            height=info.height,
            fps=self._results.per_second(now),
            source_fps=self._frames.per_second(now),
            age_seconds=now - captured_at if captured_at is not None else None,
            frames=counters.results,
            dropped=self.inbox.dropped,
            too_old=counters.too_old + source.too_old,
            stale=counters.stale,
            unwritten=sum(worker.dropped for worker in self.outputs.workers) if self.outputs else 0,
            reconnects=source.reconnects,
            stalls=source.stalls,
            milliseconds=stages,
            shares=_shares(mask) if isinstance(mask, SemanticMask) else {},
            since=now - self._since,
            event=self._last_error,
        )


def _shares(mask: SemanticMask) -> Mapping[str, float]:
    """The shares in a grid of the mask's pixels: all of them take 16 cameras of 1080p a third of a core."""
    step = max(1, round(math.sqrt(mask.labels.size / SHARE_PIXELS)))
    return SemanticMask(mask.labels[::step, ::step], mask.classes).shares()

"""One stream of a runner: its source, its inbox, its outputs and what is known of it."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgeseg.capture.source import LiveSource
from edgeseg.capture.state import StreamEvent, StreamState
from edgeseg.errors import EdgeSegError
from edgeseg.live.inbox import Inbox
from edgeseg.live.output import Outputs, OverlayRenderer, SinkWorker
from edgeseg.live.status import StreamStatus
from edgeseg.measure.recorder import LatencyRecorder
from edgeseg.predictions.semantic import SemanticMask
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink
from edgeseg.video.source import FrameSource, SourceInfo

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
    weight: the share of the engine's time, relative to other streams.
    """

    name: str
    source: FrameSource
    open_sinks: OpenSinks = no_sinks
    weight: float = 1.0


@dataclass
class Counters:
    """What happened to the frames of a stream."""

    results: int = 0
    stale: int = 0
    too_old: int = 0
    errors: int = 0


class RunningStream:
    """A stream while it runs. Its decoding thread is started by `start`; all other methods belong to the runner."""

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
        self._clock, self._on_event = clock, on_event
        self._result_times: deque[float] = deque()
        self._frame_times: deque[float] = deque()
        self._repeated_at = 0.0
        self._recent: deque[Mapping[str, float]] = deque(maxlen=RECENT)
        self._thread = threading.Thread(target=self._decode, name=f"edgeseg-decode-{config.name}", daemon=True)

    def start(self) -> None:
        """Start decoding."""
        if isinstance(self.source, LiveSource):
            self.source.on_event = self._source_event
        self._thread.start()

    def _decode(self) -> None:
        error: BaseException | None = None
        try:
            for frame in self.source:
                if not isinstance(self.source, LiveSource) and self._state is not StreamState.LIVE:
                    self.event(StreamEvent(self.name, "state", "frames arrive", state=StreamState.LIVE))
                self._frame_times.append(self._clock())
                if not self.inbox.put(frame):
                    break
        except BaseException as problem:  # handed to the runner
            error = problem
        finally:
            self.inbox.end(error)

    def _source_event(self, event: StreamEvent) -> None:
        self.event(StreamEvent(**{**event.__dict__, "stream": self.name}))

    def event(self, event: StreamEvent) -> None:
        """Note an event of this stream, and tell the observers."""
        if event.state is not None:
            self._state, self._since = event.state, self._clock()
        if event.code:
            self._last_error = event
        self._on_event(event)

    def finished(self) -> None:
        """All frames of the source are processed, or it failed."""
        error = self.inbox.error
        code, hint = (error.code, error.hint) if isinstance(error, EdgeSegError) else ("", "")
        if self._state is not StreamState.ENDED or error:
            message = str(getattr(error, "message", error)) if error else "the source ended"
            self.event(StreamEvent(self.name, "state", message, state=StreamState.ENDED, code=code, hint=hint))

    def is_too_old(self, frame: Frame) -> bool:
        """Whether a frame waited for the engine for too long; it is counted then."""
        if not isinstance(self.source, LiveSource) or frame.captured_at is None:
            return False
        too_old = self._clock() - frame.captured_at > self.source.max_age_seconds
        self.counters.too_old += too_old
        return too_old

    def add(self, result: Result) -> None:
        """A new result: count it, and have it written."""
        now = self._clock()
        self.latest = result
        self.counters.results += 1
        self._result_times.append(now)
        self._recent.append(result.milliseconds)
        for stage, milliseconds in result.milliseconds.items():
            self.recorder.add(stage, milliseconds)
        self._write(result)

    def repeat(self, after_seconds: float) -> None:
        """Where no result came for a while: write the last one again, marked stale, to sinks that show video."""
        now, latest = self._clock(), self.latest
        if latest is None or not self.is_live or not self._result_times or self.outputs is None:
            return
        silent = now - max(self._result_times[-1], self._repeated_at)
        if silent < after_seconds or not any(worker.sink.repeats for worker in self.outputs.workers):
            return
        self._repeated_at = now
        self.counters.stale += 1
        frame = latest.frame
        pts_seconds = frame.pts_seconds + now - self._result_times[-1]
        again = Frame(
            frame.index, pts_seconds, frame.width, frame.height, rgb=frame.rgb, captured_at=frame.captured_at,
            sequence=frame.sequence,
        )  # fmt: skip
        self.outputs.put(Result(again, latest.prediction, stale=True), repeated=True)

    def _write(self, result: Result) -> None:
        if self.outputs is None:
            sinks = self._config.open_sinks(self.source.info)
            self.outputs = Outputs(
                [SinkWorker(sink, self.renderer, drops=self.is_live, on_error=self._sink_failed) for sink in sinks]
            )
        self.outputs.put(result)

    def _sink_failed(self, sink: FrameSink, problem: Exception) -> None:
        code, hint = (problem.code, problem.hint) if isinstance(problem, EdgeSegError) else ("ES-SINK", "")
        message = f"{sink.name} stopped: {getattr(problem, 'message', problem)}"
        self.event(StreamEvent(self.name, "sink", message, code=code, hint=hint))

    def close(self, patience: float) -> None:
        """End decoding and finish the outputs; what hangs is left to its daemon thread."""
        self.inbox.end()
        self.source.close()
        if self._thread.ident is not None:
            self._thread.join(patience)
        for sink in self.outputs.close() if self.outputs else []:
            message = f"{sink.name} did not close in time"
            self.event(StreamEvent(self.name, "sink", message, code="ES-SINK", hint="check the disk or the server"))

    def status(self) -> StreamStatus:
        """The state now, from any thread."""
        now, latest, source = self._clock(), self.latest, self.source
        info, counters = source.info, self.counters
        recent = list(self._recent)
        stages = {stage: statistics.median(sample[stage] for sample in recent if stage in sample) for stage in
                  (recent[-1] if recent else {})}  # fmt: skip
        mask = latest.prediction if latest else None
        captured_at = latest.frame.captured_at if latest else None
        live = source if isinstance(source, LiveSource) else None
        return StreamStatus(
            self.name,
            info.name,
            self._state,
            width=info.width,
            height=info.height,
            fps=_rate(self._result_times, now),
            source_fps=_rate(self._frame_times, now),
            age_seconds=now - captured_at if captured_at is not None else None,
            frames=counters.results,
            dropped=self.inbox.dropped,
            too_old=counters.too_old + (live.too_old if live else 0),
            stale=counters.stale,
            unwritten=sum(worker.dropped for worker in self.outputs.workers) if self.outputs else 0,
            reconnects=live.reconnects if live else 0,
            stalls=live.stalls if live else 0,
            milliseconds=stages,
            shares=_shares(mask) if isinstance(mask, SemanticMask) else {},
            since=now - self._since,
            event=self._last_error,
        )


def _shares(mask: SemanticMask) -> Mapping[str, float]:
    """The shares in a grid of the mask's pixels: all of them take 16 cameras of 1080p a third of a core."""
    step = max(1, round(math.sqrt(mask.labels.size / SHARE_PIXELS)))
    return SemanticMask(mask.labels[::step, ::step], mask.classes).shares()


def _rate(times: deque[float], now: float) -> float:
    """Events per second over the last seconds; older ones are removed, but for the last one."""
    while len(times) > 1 and times[0] < now - RATE_SECONDS:
        try:
            times.popleft()
        except IndexError:
            break
    recent = [time for time in list(times) if time >= now - RATE_SECONDS]
    if len(recent) < 2:
        return 0.0
    return (len(recent) - 1) / max(1e-9, now - recent[0])

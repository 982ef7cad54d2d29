"""Several streams through one engine.

    source -> [decoding thread] -> inbox -> [the caller's thread: engine] -> [a thread for each sink]

Of a live stream the newest frame is processed, of a recording every frame. A slow or dead stream holds up no other.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.capture.state import StreamEvent
from edgeseg.errors import FormatError
from edgeseg.live.batching import batch_that_pays
from edgeseg.live.output import CLOSE_SECONDS
from edgeseg.live.scheduler import FairScheduler, MeanCosts
from edgeseg.live.status import StreamStatus
from edgeseg.live.stream import RunningStream, StreamConfig
from edgeseg.measure.load import Load, LoadMeter
from edgeseg.measure.recorder import Summary
from edgeseg.pixels.legend import Legend
from edgeseg.segmenter import PredictionFuture, Segmenter
from edgeseg.spec import LabelSet
from edgeseg.video.frame import Frame
from edgeseg.video.overlay import OverlayRenderer
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, want_overlays
from edgeseg.video.source import Loss

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1  # the delay of a stop while nothing arrives
REPEAT_SECONDS = 1.0  # between repetitions of the last result of a silent stream
LEAVE_SECONDS = 3.0  # how long a source may take to end
MOST_ERRORS = 10  # of the engine, one after another
KEPT_EVENTS = 100


@dataclass(frozen=True)
class LiveReport:
    """What a run did, by stream, in their order. interrupted: by the stop token or a sink.

    losses: what recordings could not deliver. failures: sources and sinks that ended before their time, and sinks that
    drop frames at the end.
    """

    streams: tuple[StreamStatus, ...]
    latency: tuple[dict[str, Summary], ...]
    seconds: float
    load: Load
    interrupted: bool
    losses: tuple[tuple[Loss, ...], ...]
    failures: tuple[StreamEvent, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "seconds": self.seconds,
            "interrupted": self.interrupted,
            "load": self.load.to_dict(),
            "streams": [
                {
                    **status.to_dict(),
                    "latency": {stage: each.to_dict() for stage, each in latency.items()},
                    "losses": [asdict(loss) for loss in losses],
                }
                for status, latency, losses in zip(self.streams, self.latency, self.losses)
            ],
            "failures": [event.to_dict() for event in self.failures],
        }


@dataclass(frozen=True)
class _InFlight:
    """An image in the engine."""

    index: int
    frame: Frame
    future: PredictionFuture
    began: float


class LiveRunner:
    """Runs streams until all sources end, `stop` is set, or each stream has given `frames` results.

    It is a `LiveView`: other threads may ask for the status, the newest results and the last events at any time.
    opacity, legend: of overlays. on_event: called from several threads. ends_with_sinks: also ends when sinks of each
    stream have failed and none has an output left.
    """

    def __init__(
        self,
        streams: Sequence[StreamConfig],
        segmenter: Segmenter,
        *,
        frames: int | None = None,
        opacity: float = 0.5,
        legend: bool = False,
        on_event: Callable[[StreamEvent], None] | None = None,
        stop: threading.Event | None = None,
        ends_with_sinks: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        names = [config.name for config in streams]
        if not names or len(set(names)) < len(names):
            raise FormatError("streams need names that differ", hint="give each stream a name of its own")
        self._segmenter, self._frames_wanted, self._opacity = segmenter, frames, opacity
        self._on_event, self._clock = on_event, clock
        self.stop = stop or threading.Event()
        self._changed = threading.Condition()
        self._events: deque[StreamEvent] = deque(maxlen=KEPT_EVENTS)
        self._engine_seconds: deque[tuple[str, float]] = deque(maxlen=10_000)
        colors = segmenter.spec.labels.colors() if legend else None
        self._streams = [
            RunningStream(
                config, self._changed, OverlayRenderer(opacity, Legend(colors) if colors else None), self._event, clock
            )
            for config in streams
        ]
        self._scheduler, self._costs = FairScheduler([config.weight for config in streams]), MeanCosts()
        self._meter, self._began, self._ended = LoadMeter(), time.perf_counter(), 0.0
        self._ended_streams: set[int] = set()
        self._ends_with_sinks = ends_with_sinks
        self._errors = 0
        self._batch, self._window_seconds = 1, 0.0
        self.page_url = ""  # where its page is, if it has one; with a random token, so it is for the terminal
        self._sink_stopped = False

    @property
    def labels(self) -> LabelSet:
        """The classes of the model."""
        return self._segmenter.spec.labels

    @property
    def engine(self) -> str:
        """Model, engine and precision."""
        artifact = self._segmenter.artifact
        return f"{artifact.spec.name}, {artifact.engine or 'onnx'} {artifact.precision}"

    def sinks(self) -> list[FrameSink]:
        """All sinks that were opened."""
        return [sink for stream in self._streams for sink in stream.sinks()]

    def statuses(self) -> list[StreamStatus]:
        """One for each stream, in order."""
        return [stream.status() for stream in self._streams]

    def latest(self, name: str) -> Result | None:
        """The newest result of a stream; None before the first. KeyError for an unknown name."""
        return {stream.name: stream for stream in self._streams}[name].latest

    def events(self) -> list[StreamEvent]:
        """The last 100 events of all streams, oldest first."""
        return list(self._events)

    def engine_seconds(self) -> list[tuple[str, float]]:
        """(stream, seconds of the engine) of the results since the last call."""
        taken: list[tuple[str, float]] = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._engine_seconds.popleft())
        return taken

    def run(self, on_result: Callable[[str, Result], None] | None = None) -> LiveReport:
        """Run to the end. on_result: called with the name of the stream, before the sinks have written the result."""
        with contextlib.closing(self.results()) as results:
            for name, result in results:
                if on_result is not None:
                    on_result(name, result)
        return self.report()

    def results(self) -> Generator[tuple[str, Result], None, None]:
        """The name of the stream and its result, one after another; closing the generator ends the run."""
        in_flight: deque[_InFlight] = deque()
        self._meter, self._began = LoadMeter(), time.perf_counter()
        self._batch, self._window_seconds = batch_that_pays(self._segmenter) if len(self._streams) > 1 else (1, 0.0)
        for stream in self._streams:
            stream.start()
        try:
            while not (over := self._is_over()) or in_flight:
                has_room = not over and len(in_flight) < self._segmenter.slots
                if has_room and (begun := self._begun(in_flight)):
                    in_flight.extend(begun)
                elif in_flight:
                    pending = in_flight.popleft()
                    result = self._finished(pending)
                    if result is not None:
                        yield self._streams[pending.index].name, result
        finally:
            for pending in in_flight:  # frees the device for the next run
                with contextlib.suppress(Exception):
                    pending.future.result()
            self._close()
        errors = [stream.inbox.error for stream in self._streams]
        if all(errors) and errors[0] is not None:
            raise errors[0]

    def report(self) -> LiveReport:
        """What the run did, until now or to its end."""
        return LiveReport(
            tuple(self.statuses()),
            tuple(stream.recorder.summaries() for stream in self._streams),
            (self._ended or time.perf_counter()) - self._began,
            self._meter.load(),
            interrupted=self.stop.is_set() or self._sink_stopped,
            losses=tuple(stream.losses() for stream in self._streams),
            failures=tuple(event for stream in self._streams for event in stream.failures()),
        )

    def _is_over(self) -> bool:
        self._sink_stopped = any(stream.outputs is not None and stream.outputs.wants_end for stream in self._streams)
        ended = len(self._ended_streams) == len(self._streams)
        return self.stop.is_set() or self._sink_stopped or ended or self._has_no_sink()

    def _has_no_sink(self) -> bool:
        """Whether the run is to end because all sinks failed."""
        outputs = [stream.outputs for stream in self._streams]
        return self._ends_with_sinks and all(output is not None and output.have_failed for output in outputs)

    def _begun(self, in_flight: Sequence[_InFlight]) -> list[_InFlight]:
        """Begin the next image, or the next batch; none where no stream has one now.

        It waits for one where none is in flight, and for the others of a batch as long as its window.
        """
        self._look_after_silent_streams({each.index for each in in_flight})
        taken = self._taken(in_flight, 0.0 if in_flight else POLL_SECONDS)
        if taken is None:
            return []
        frames, deadline = [taken], self._clock() + self._window_seconds
        while len(frames) < self._batch and (left := deadline - self._clock()) > 0:
            if (more := self._taken(in_flight, left)) is not None:
                frames.append(more)
        return self._begun_batch(frames) if len(frames) > 1 else self._begun_single(*taken)

    def _taken(self, in_flight: Sequence[_InFlight], seconds: float) -> tuple[int, Frame] | None:
        """The next frame and the index of its stream; None where none comes within `seconds`."""
        with self._changed:
            ready = self._ready(in_flight)
            if not any(ready) and seconds > 0:
                self._changed.wait(seconds)
                ready = self._ready(in_flight)
            if not any(ready):
                return None
            index = self._scheduler.next(ready)
            frame = self._streams[index].inbox.take()
        if frame is None or self._streams[index].is_too_old(frame):
            return None
        return index, frame

    def _ready(self, in_flight: Sequence[_InFlight]) -> list[bool]:
        return [self._is_wanted(index, in_flight) and stream.is_ready() for index, stream in enumerate(self._streams)]

    def _begun_single(self, index: int, frame: Frame) -> list[_InFlight]:
        opacity = self._opacity if want_overlays(self._streams[index].sinks()) else None
        began = time.perf_counter()
        try:
            return [_InFlight(index, frame, self._segmenter.submit(frame, overlay_opacity=opacity), began)]
        except Exception as problem:
            self._failed(index, problem)
            return []

    def _begun_batch(self, frames: Sequence[tuple[int, Frame]]) -> list[_InFlight]:
        """Compute the frames at once. Each took as long as all of them."""
        began = time.perf_counter()
        try:
            predictions = self._segmenter.segment_batch([frame for _, frame in frames])
        except Exception as problem:
            self._failed(frames[0][0], problem)
            return []
        milliseconds = {"total": 1e3 * (time.perf_counter() - began)}
        return [
            _InFlight(index, frame, PredictionFuture.of(prediction, milliseconds), began)
            for (index, frame), prediction in zip(frames, predictions)
        ]

    def _is_wanted(self, index: int, in_flight: Sequence[_InFlight]) -> bool:
        """Whether a stream is to give a further result."""
        begun = self._streams[index].counters.results + sum(each.index == index for each in in_flight)
        return self._frames_wanted is None or begun < self._frames_wanted

    def _finished(self, pending: _InFlight) -> Result | None:
        """Wait for an image, count it and have it written; None where the engine failed."""
        stream = self._streams[pending.index]
        try:
            prediction = pending.future.result()
        except Exception as problem:
            self._failed(pending.index, problem)
            return None
        self._errors = 0
        seconds = pending.future.milliseconds.get("total", 1e3 * (time.perf_counter() - pending.began)) / 1e3
        self._scheduler.served(pending.index, self._costs.add(pending.frame.size, seconds))
        self._engine_seconds.append((stream.name, seconds))
        result = Result(pending.frame, prediction, pending.future.milliseconds, overlay=pending.future.overlay)
        stream.add(result)
        if self._frames_wanted is not None and stream.counters.results >= self._frames_wanted:
            self._ended_streams.add(pending.index)
            stream.leave()
            stream.end_outputs()
        return result

    def _failed(self, index: int, problem: Exception) -> None:
        """The engine raised for an image: others may work; an engine that only fails ends the run."""
        self._errors += 1
        stream = self._streams[index]
        if self._errors >= MOST_ERRORS:
            raise problem
        stream.event(StreamEvent.of_error(stream.name, "error", problem, "ES-RUN"))

    def _look_after_silent_streams(self, busy: set[int]) -> None:
        """Repeat results of streams that are silent; note those that ended, once none of their images is `busy`."""
        for index, stream in enumerate(self._streams):
            stream.watch_sinks()
            if index in self._ended_streams | busy:
                continue
            stream.repeat(REPEAT_SECONDS)
            if stream.inbox.ended:
                with self._changed:
                    finished = stream.inbox.is_finished()
                if finished:
                    self._ended_streams.add(index)
                    stream.finished()
                    stream.end_outputs()

    def _event(self, event: StreamEvent) -> None:
        self._events.append(event)
        logger.info("%s", event.to_dict())
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:  # an observer must not end a stream
                logger.exception("an observer of events failed")

    def _close(self) -> None:
        for stream in self._streams:  # all at once, so that their patience does not add up
            stream.leave()
            stream.end_outputs()
        began = time.monotonic()
        for stream in self._streams:
            seconds = time.monotonic() - began
            stream.join(LEAVE_SECONDS - seconds, CLOSE_SECONDS - seconds)
        self._ended = time.perf_counter()

"""Frames from a source, through a segmenter, to sinks; decode, inference and encode overlap."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from edgeseg.errors import EdgeSegError
from edgeseg.live.runner import LiveRunner
from edgeseg.live.stream import StreamConfig
from edgeseg.measure.load import Load, LoadMeter
from edgeseg.measure.recorder import LatencyRecorder, Summary
from edgeseg.pixels.legend import Legend
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import PredictionFuture, Segmenter
from edgeseg.video.frame import Frame
from edgeseg.video.overlay import OverlayRenderer
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, losses_of, want_overlays, want_planes
from edgeseg.video.source import FrameSource, Loss
from edgeseg.video.stages import LEAVE_SECONDS, Stage, limit, overlapped, pipe, prefetch
from edgeseg.video.working_sinks import WorkingSinks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamReport:
    """The report of a stream. seconds: from the request of the first frame to the writing of the last one.

    interrupted: ended by the stop token or by closing the window. losses: what the source could not deliver. dropped:
    frames of a live source that a newer one replaced while the model computed. failures: outputs that stopped with an
    error, or that drop frames at the end.
    """

    frames: int
    seconds: float
    latency: dict[str, Summary]
    load: Load
    interrupted: bool
    losses: tuple[Loss, ...]
    dropped: int = 0
    failures: tuple[Loss, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The losses and failures, one line each."""
        return tuple(loss.message for loss in (*self.losses, *self.failures))

    @property
    def fps(self) -> float:
        """Frames per second from source to sinks, with all stages."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "frames": self.frames,
            "seconds": self.seconds,
            "fps": self.fps,
            "cpu_ms_per_frame": self.load.cpu_seconds * 1e3 / self.frames if self.frames else None,
            "dropped": self.dropped,
            "foreign_cores": self.load.foreign_cores,
            "latency": {stage: summary.to_dict() for stage, summary in self.latency.items()},
            "interrupted": self.interrupted,
            "warnings": list(self.warnings),
            "losses": [asdict(loss) for loss in self.losses],
            "failures": [asdict(failure) for failure in self.failures],
        }


def inference_stage(
    segmenter: Segmenter, *, overlay_opacity: float | None = None
) -> Callable[[Iterator[Frame]], Generator[Result, None, None]]:
    """The stage from frames to results, with as many frames in flight as the segmenter has slots.

    overlay_opacity: a device with that ability also draws the overlay.
    """

    def stage(frames: Iterator[Frame]) -> Generator[Result, None, None]:
        in_flight: deque[PredictionFuture] = deque()

        def begin(frame: Frame) -> None:
            in_flight.append(segmenter.submit(frame, overlay_opacity=overlay_opacity))

        def finish(frame: Frame) -> Result:
            future = in_flight.popleft()
            prediction = future.result()
            return Result(frame, prediction, future.milliseconds, overlay=future.overlay)

        try:
            yield from overlapped(begin, finish, segmenter.slots)(frames)
        finally:
            for future in in_flight:  # frees the device for the next stream
                with contextlib.suppress(EdgeSegError):
                    future.result()

    return stage


def stream(
    source: FrameSource,
    segmenter: Segmenter,
    sinks: FrameSink | Sequence[FrameSink],
    *,
    frames: int | None = None,
    opacity: float = 0.5,
    legend: bool = False,
    on_result: Callable[[Result], None] | None = None,
    stop: threading.Event | None = None,
    progress: Progress = silent,
) -> StreamReport:
    """Run until the source ends, `frames` frames are written, `stop` is set or the user closes a window.

    Every frame of a recording is processed. A live source is run by a `LiveRunner`: of it the newest frame is, and it
    reconnects for ever. A sink that fails stops alone. Where no output is left, a recording ends with the error of that
    sink, and a live source ends unless `on_result` is given.
    legend: draw the class colours with their names onto overlays.
    on_result: called with each written result, which has an overlay if a sink wants one; of a live source before it is
    written, without an overlay. The sinks of a recording stay open: close them to finish their files. Several streams
    may share a segmenter, each in its own thread.
    """
    sinks = [sinks] if isinstance(sinks, FrameSink) else list(sinks)
    if source.kind == "live":
        return _live(source, segmenter, sinks, frames, opacity, legend, on_result, stop, progress)
    recorder, meter, began = LatencyRecorder(), LoadMeter(), time.perf_counter()
    total = min((n for n in (source.info.frames, frames) if n is not None), default=None)
    count, wants_more, working = 0, True, WorkingSinks(sinks)
    info = source.info
    logger.info("%s: %s, %dx%d at %.4g fps", info.name, source.kind, info.width, info.height, info.fps)
    logger.info("to %s, %d frames in flight", ", ".join(sink.name for sink in sinks) or "nothing", segmenter.slots)
    planes = want_planes(sinks) and on_result is None  # which may want RGB
    results = pipe(source, *stages_of(segmenter, sinks, frames, opacity, legend, stop, planes=planes))
    try:
        for result in results:
            wants_more = working.write(result)
            count += 1
            for stage, milliseconds in result.milliseconds.items():
                recorder.add(stage, milliseconds)
            progress("stream", count, total)
            if on_result is not None:
                on_result(result)
            if not wants_more:
                break
    finally:
        results.close()
    return StreamReport(
        frames=count,
        seconds=time.perf_counter() - began,
        latency=recorder.summaries(),
        load=meter.load(),
        interrupted=not wants_more or (stop is not None and stop.is_set()),
        losses=losses_of(source, sinks),
        failures=working.failures(),
    )


def results(
    source: FrameSource, segmenter: Segmenter, *, frames: int | None = None, stop: threading.Event | None = None
) -> Generator[Result, None, None]:
    """The results of a source, one after another, for a loop of your own; closing the generator ends the stream.

    Of a recording that is every frame, of a live source the newest one whenever the loop asks for the next result.
    """
    if source.kind == "live":
        runner = LiveRunner([StreamConfig("stream", source)], segmenter, frames=frames, stop=stop)
        with contextlib.closing(runner.results()) as of_runner:
            for _, result in of_runner:
                yield result
    else:
        with contextlib.closing(pipe(source, *stages_of(segmenter, (), frames, 0.5, False, stop))) as of_pipe:
            yield from of_pipe


def _live(
    source: FrameSource,
    segmenter: Segmenter,
    sinks: Sequence[FrameSink],
    frames: int | None,
    opacity: float,
    legend: bool,
    on_result: Callable[[Result], None] | None,
    stop: threading.Event | None,
    progress: Progress,
) -> StreamReport:
    """`stream` of a live source."""
    config = StreamConfig(source.info.name, source, lambda info: sinks)
    runner = LiveRunner(
        [config], segmenter, frames=frames, opacity=opacity, legend=legend, stop=stop, ends_with_sinks=on_result is None
    )
    count = first = last = 0

    def on_each(name: str, result: Result) -> None:
        nonlocal count, first, last
        last = result.frame.sequence
        first = first if count else last
        count += 1
        progress("stream", count, frames)
        if on_result is not None:
            on_result(result)

    report = runner.run(on_each)
    return StreamReport(
        frames=count,
        seconds=report.seconds,
        latency=report.latency[0],
        load=report.load,
        interrupted=report.interrupted,
        losses=losses_of(source, sinks),
        failures=tuple(Loss(event.code, event.message) for event in report.failures),
        dropped=last - first + 1 - count if count else 0,
    )


def stages_of(
    segmenter: Segmenter,
    sinks: Sequence[FrameSink],
    frames: int | None,
    opacity: float,
    legend: bool,
    stop: threading.Event | None,
    *,
    planes: bool = False,
) -> list[Stage[Any, Any]]:
    """The stages between source and sinks: decoding and inference in one thread each, rendering in the caller's.

    planes: overlays are YUV where that is possible.
    """
    renders = want_overlays(sinks)
    decode, output = prefetched(stop), prefetched(stop, patience=2 * LEAVE_SECONDS)
    infer = inference_stage(segmenter, overlay_opacity=opacity if renders else None)
    end: list[Stage[Any, Any]] = [limit(frames)] if frames is not None else []
    stages = [*end, decode, infer, output]
    renderer = OverlayRenderer(opacity, Legend(segmenter.spec.labels.colors()) if legend else None)
    render = partial(renderer.rendered, planes=planes)
    return [*stages, lambda results: map(render, results)] if renders else stages


def prefetched(stop: threading.Event | None, patience: float = LEAVE_SECONDS) -> Stage[Any, Any]:
    """The `prefetch` stage with the stream's stop token; a later one needs more patience than an earlier one."""
    return lambda items: prefetch(items, stop=stop, patience=patience)

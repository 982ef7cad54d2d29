"""Frames from a source, through a segmenter, to sinks; decode, inference and encode overlap."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.errors import EdgeSegError
from edgeseg.measure.load import Load, LoadMeter
from edgeseg.measure.recorder import LatencyRecorder, Summary
from edgeseg.pixels.legend import Legend
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import PredictionFuture, Segmenter
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result, rendered
from edgeseg.video.sink import FrameSink, StopStream
from edgeseg.video.source import FrameSource, Loss, SourceKind
from edgeseg.video.stages import LEAVE_SECONDS, Stage, limit, overlapped, pipe, prefetch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamReport:
    """What a stream did. seconds: from the first frame's request to the last one's writing.

    interrupted: ended by the stop token or by closing the window. losses: what the source could not give. dropped: how
    many frames of a live source came while an earlier one was computed, and gave their place to a newer one.
    """

    frames: int
    seconds: float
    latency: dict[str, Summary]
    load: Load
    interrupted: bool
    losses: tuple[Loss, ...]
    dropped: int = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """The losses, one line each."""
        return tuple(loss.message for loss in self.losses)

    @property
    def fps(self) -> float:
        """Frames a second from source to sinks, no stage left out."""
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
        }


def predicted(
    segmenter: Segmenter, *, overlay_opacity: float | None = None
) -> Callable[[Iterator[Frame]], Generator[Result, None, None]]:
    """The stage from frames to results; as many frames are under way as the segmenter has slots.

    overlay_opacity: a device that can draws the overlay, too.
    """

    def stage(frames: Iterator[Frame]) -> Generator[Result, None, None]:
        under_way: deque[PredictionFuture] = deque()

        def begin(frame: Frame) -> None:
            under_way.append(segmenter.submit(frame, overlay_opacity=overlay_opacity))

        def finish(frame: Frame) -> Result:
            future = under_way.popleft()
            prediction = future.result()
            return Result(frame, prediction, future.milliseconds, overlay=future.overlay)

        try:
            yield from overlapped(begin, finish, segmenter.slots)(frames)
        finally:
            for future in under_way:  # the device is free again for the next stream
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
    """Run until the source ends, `frames` have passed, `stop` is set or a window is closed.

    Of a recording every frame counts. Of a live source the newest one does: where the model is slower than the camera,
    frames are dropped, and the lag does not grow.
    legend: draw the class colours with their names onto overlays.
    on_result: called with each result that was written; it has an overlay where a sink wants one. The sinks are left
    open: close them to finish their files. A segmenter may serve several streams, each in a thread of its own.
    """
    sinks = [sinks] if isinstance(sinks, FrameSink) else list(sinks)
    recorder, meter, began = LatencyRecorder(), LoadMeter(), time.perf_counter()
    total = min((n for n in (source.info.frames, frames) if n is not None), default=None)
    count, wants_more, first, last = 0, True, 0, 0
    info = source.info
    logger.info("%s: %s, %dx%d at %.4g fps", info.name, source.kind, info.width, info.height, info.fps)
    logger.info("to %s, %d frames under way", ", ".join(sink.name for sink in sinks) or "nothing", segmenter.slots)
    results = pipe(source, *stages_of(source.kind, segmenter, sinks, frames, opacity, legend, stop))
    try:
        for result in results:
            wants_more = written(result, sinks)
            last = result.frame.sequence
            first = first if count else last
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
        losses=tuple(source.losses),
        dropped=last - first + 1 - count if count and source.kind == "live" else 0,
    )


def stages_of(
    kind: SourceKind,
    segmenter: Segmenter,
    sinks: Sequence[FrameSink],
    frames: int | None,
    opacity: float,
    legend: bool,
    stop: threading.Event | None,
) -> list[Stage[Any, Any]]:
    """What lies between source and sinks: decoding and inference in a thread each, rendering in the caller's."""
    drawn, live = any(sink.wants != "prediction" for sink in sinks), kind == "live"
    decode, outward = prefetched(stop, newest=live), prefetched(stop, patience=2 * LEAVE_SECONDS)
    infer = predicted(segmenter, overlay_opacity=opacity if drawn else None)
    end: list[Stage[Any, Any]] = [limit(frames)] if frames is not None else []
    # No more than `frames` of a recording are read; of a camera those count that were not dropped.
    stages = [decode, infer, *end, outward] if live else [*end, decode, infer, outward]
    class_legend = Legend(segmenter.spec.labels.colors()) if legend else None
    return [*stages, rendered(opacity, class_legend)] if drawn else stages


def prefetched(
    stop: threading.Event | None, patience: float = LEAVE_SECONDS, *, newest: bool = False
) -> Stage[Any, Any]:
    """The `prefetch` stage with the stream's stop token; one behind another has more patience than that."""
    depth = 1 if newest else 2
    return lambda items: prefetch(items, depth, newest=newest, stop=stop, patience=patience)


def written(result: Result, sinks: Sequence[FrameSink]) -> bool:
    """Give `result` to each sink; whether all of them want more."""
    wants_more = True
    for sink in sinks:
        try:
            sink.write(result)
        except StopStream:
            wants_more = False
    return wants_more

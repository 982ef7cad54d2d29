"""Frames from a source, through a segmenter, to a sink; decode, inference and encode overlap."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from edgeseg.interrupt import interrupts_held
from edgeseg.measure.load import Load, LoadMeter
from edgeseg.measure.recorder import Summary
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter
from edgeseg.video.frame import Frame
from edgeseg.video.sink import FrameSink, StopStream
from edgeseg.video.source import FrameSource
from edgeseg.video.stages import limit, overlapped, pipe, prefetch


@dataclass(frozen=True)
class StreamReport:
    """What a stream did. seconds: from the first frame's request to the last one's writing. miou: None without truth.

    interrupted: ended by Ctrl-C or by closing the window. warnings: what the source lost.
    """

    frames: int
    seconds: float
    latency: dict[str, Summary]
    load: Load
    miou: float | None
    interrupted: bool
    warnings: tuple[str, ...]

    @property
    def fps(self) -> float:
        """Frames a second from source to sink, no stage left out."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "frames": self.frames,
            "seconds": self.seconds,
            "fps": self.fps,
            "miou": self.miou,
            "cpu_ms_per_frame": self.load.cpu_seconds * 1e3 / self.frames if self.frames else None,
            "foreign_cores": self.load.foreign_cores,
            "latency": {stage: summary.to_dict() for stage, summary in self.latency.items()},
            "interrupted": self.interrupted,
            "warnings": list(self.warnings),
        }


class Stream:
    """One run. `confusion` counts where frames carry ground truth.

    shown: whether somebody looks at every overlay; else one is made when it is asked for.
    """

    def __init__(self, segmenter: Segmenter, *, opacity: float = 0.5, shown: bool = True) -> None:
        self.segmenter, self.opacity, self.shown = segmenter, opacity, shown
        self.confusion = ConfusionMatrix(len(segmenter.spec.labels), segmenter.spec.labels.ignore)
        self.judged = 0

    def overlaid(self, frames: Iterator[Frame]) -> Generator[Frame, None, None]:
        """The stage from frames to frames with the mask's colours blended in; as many are under way as have a slot."""
        return overlapped(self._begin, self._finish, self.segmenter.slots)(frames)

    def _begin(self, frame: Frame) -> None:
        self.segmenter.submit(frame, opacity=self.opacity if self.shown else None)

    def _finish(self, frame: Frame) -> Frame:
        mask, truth = self.segmenter.result(), frame.truth()
        if truth is not None:
            self.confusion.update(mask.labels, truth)
            self.judged += 1
        if mask.drawn is not None:
            return Frame.from_rgb(frame.index, frame.pts_seconds, mask.drawn)
        return Frame(
            frame.index,
            frame.pts_seconds,
            frame.width,
            frame.height,
            rgb=lambda: mask.overlay(frame.rgb(), opacity=self.opacity),
        )


def stream(
    source: FrameSource,
    segmenter: Segmenter,
    sink: FrameSink,
    *,
    frames: int | None = None,
    opacity: float = 0.5,
    seen: Callable[[Frame], None] | None = None,
    progress: Progress = silent,
) -> StreamReport:
    """Run until the source ends, `frames` have passed, the window is closed or Ctrl-C is pressed.

    seen: called with each frame that was written. The sink is left open: close it to finish the file.
    """
    run, before, interrupted = Stream(segmenter, opacity=opacity, shown=sink.shows), sink.frames_written, False
    total = min((n for n in (source.info.frames, frames) if n is not None), default=None)
    segmenter.clear_latency()
    meter, began = LoadMeter(), time.perf_counter()
    first = [limit(frames)] if frames is not None else []
    results = pipe(source, *first, prefetch, run.overlaid, prefetch)
    try:
        with interrupts_held() as hold:
            for frame in results:
                with hold:
                    sink.write(frame)
                progress("stream", sink.frames_written - before, total)
                if seen is not None:
                    seen(frame)
    except (KeyboardInterrupt, StopStream):
        interrupted = True
    finally:
        results.close()
        segmenter.discard()
    return StreamReport(
        frames=sink.frames_written - before,
        seconds=time.perf_counter() - began,
        latency=segmenter.latency(),
        load=meter.load(),
        miou=run.confusion.miou() if run.judged else None,
        interrupted=interrupted,
        warnings=tuple(source.warnings),
    )

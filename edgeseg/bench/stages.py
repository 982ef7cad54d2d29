"""From a video file to an overlay file: each stage by itself, and the whole with its stages overlapped."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.bench.clock import Clock
from edgeseg.bench.record import Row, Stages
from edgeseg.errors import DataError
from edgeseg.measure.diagnostic import Diagnostic, diagnostic
from edgeseg.measure.recorder import LatencyRecorder, Summary, summary_from_samples
from edgeseg.measure.settling import batches_of, is_settled
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter
from edgeseg.streaming import stream
from edgeseg.video.frame import Frame
from edgeseg.video.overlay import OverlayRenderer
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, Wants, open_sink, want_planes
from edgeseg.video.source import FrameSource, open_source
from edgeseg.video.writer import VideoWriter

NAMES = {"infer": "engine"}  # of the segmenter's stages
ORDER = ("decode", "resize", "upload", "engine", "download", "device", "upsample", "render", "encode")
THREADS = (("decode",), ("resize", "engine", "upsample", "device"), ("render", "encode"))  # threads of `stream`
SUM_TOLERANCE, OVERLAP_TOLERANCE = 0.05, 0.10
CALL_MS = 0.2  # of a frame: what the call itself may take, which no stage has
OPACITY = 0.5
CLIP_FPS = 30


@dataclass(frozen=True)
class FileRun:
    """row: of the overlapped run. serial, overlapped: the stages of both runs."""

    row: Row
    serial: Stages
    overlapped: Stages


class TimedSource(FrameSource):
    """The frames of a recording, with the time that each took noted as "decode"."""

    def __init__(self, recording: FrameSource, clock: Clock, recorder: LatencyRecorder) -> None:
        super().__init__(recording.info)
        self._recording, self._clock, self._recorder = recording, clock, recorder

    def _frames(self) -> Generator[Frame, None, None]:
        began = self._clock.now()
        for frame in self._recording:
            self._recorder.add("decode", (self._clock.now() - began) * 1e3)
            yield frame
            began = self._clock.now()


class TimedSink(FrameSink):
    """Renders and writes to `sink`, with the times noted as "render" and "encode".

    finished, cpu: wall and CPU time when it was made, and when each result was written.
    """

    wants: Wants = "prediction"

    def __init__(self, sink: FrameSink, clock: Clock, recorder: LatencyRecorder) -> None:
        super().__init__(sink.name)
        self._sink, self._clock, self._recorder = sink, clock, recorder
        self._renderer = OverlayRenderer(OPACITY)
        self.finished = [clock.now()]
        self.cpu = [clock.cpu()]

    def _write(self, result: Result) -> bool:
        began = self._clock.now()
        result = self._renderer.rendered(result, planes=want_planes([self._sink]))
        between = self._clock.now()
        self._sink.write(result)
        self.finished.append(self._clock.now())
        self.cpu.append(self._clock.cpu())
        self._recorder.add("render", (between - began) * 1e3)
        self._recorder.add("encode", (self.finished[-1] - between) * 1e3)
        return True


def make_clip(frames: Sequence[NDArray[np.uint8]], count: int, path: Path) -> Path:
    """Write `count` of `frames`, in turn, as H.264."""
    writer = VideoWriter(str(path), frames[0].shape[:2], "libx264", Fraction(CLIP_FPS))
    for number in range(count):
        writer.write(frames[number % len(frames)], number / CLIP_FPS)
    writer.finish()
    return path


def measure_file(segmenter: Segmenter, video: str | Path, clock: Clock, n: int, progress: Progress = silent) -> FileRun:
    """Stream `n` intervals of `video` to an overlay file: stage after stage, then as `edgeseg stream` does it.

    DataError for a video of fewer than two frames, which has no interval.
    """
    runs: list[tuple[Stages, TimedSink]] = []
    for overlaps in (False, True):
        recorder = LatencyRecorder(clock.now)
        with tempfile.TemporaryDirectory() as folder, open_source(video) as recording:
            source = TimedSource(recording, clock, recorder)
            with open_sink(str(Path(folder) / "overlay.mp4"), recording.info) as output:
                sink = TimedSink(output, clock, recorder)
                run = run_overlapped if overlaps else run_serial
                run(source, segmenter, sink, recorder, n + 1, progress)
                check_frames(video, len(sink.finished) - 1)
        finished = sink.finished[1:] if overlaps else sink.finished  # the first one has waited for all stages
        runs.append((stages_from(recorder, finished, overlaps), sink))
    (serial, _), (overlapped, sink) = runs
    gaps = [(after - before) * 1e3 for before, after in itertools.pairwise(sink.finished[1:])]
    cpu = [(after - before) * 1e3 for before, after in itertools.pairwise(sink.cpu[1:])]
    row = Row(
        scope="file",
        latency=summary_from_samples(gaps),
        fps=1e3 * len(gaps) / sum(gaps),
        cpu_ms=sum(cpu) / len(cpu),
        settled=is_settled(gaps),
        samples=tuple(gaps),
        cpu_blocks=tuple(sum(part) / len(part) for part in batches_of(cpu)),
    )
    return FileRun(row, serial, overlapped)


def frames_of_video(video: str | Path, count: int) -> list[NDArray[np.uint8]]:
    """The first `count` frames of a video, (H, W, 3) rgb each. DataError where it has fewer than two."""
    with open_source(video) as recording:
        frames = [frame.rgb() for frame in itertools.islice(recording, count)]
    check_frames(video, len(frames))
    return frames


def check_frames(video: str | Path, count: int) -> None:
    """DataError unless a video has the two frames of an interval."""
    if count < 2:
        message = f"{video} has {count} frame{'' if count == 1 else 's'}, and bench times from one frame to the next"
        hint = "name a longer video with --video FILE, or leave --video out"
        raise DataError(message, hint=hint, code="ES-DATA-SHORT")


def run_serial(
    source: TimedSource, segmenter: Segmenter, sink: TimedSink, recorder: LatencyRecorder, n: int, progress: Progress
) -> None:
    """One stage after another, in this thread."""
    for count, frame in enumerate(source, 1):
        future = segmenter.submit(frame)
        result = Result(frame, future.result(), future.milliseconds)
        note_stages(recorder, result)
        sink.write(result)
        progress("stages", count, n)
        if count == n:
            break


def run_overlapped(
    source: TimedSource, segmenter: Segmenter, sink: TimedSink, recorder: LatencyRecorder, n: int, progress: Progress
) -> None:
    """As `edgeseg stream` does it."""
    stream(source, segmenter, sink, frames=n, on_result=lambda result: note_stages(recorder, result), progress=progress)


def stages_of_frames(summaries: Mapping[str, Summary], milliseconds: Sequence[float] = ()) -> Stages | None:
    """The stages within "frame in memory to prediction in memory", of `Segmenter.latency`; None on a device.

    milliseconds: of the same frames by another clock, whose mean is the period. Without them it is the segmenter's own
    "total", as for cameras, whose latency has the time that a frame waits.
    """
    latency = {NAMES.get(name, name): each for name, each in summaries.items() if name != "total"}
    if not latency:
        return None
    period = summary_from_samples(milliseconds) if milliseconds else summaries["total"]
    return Stages(latency, False, sum(each.mean_ms for each in latency.values()), period.mean_ms)


def note_stages(recorder: LatencyRecorder, result: Result) -> None:
    """Note the stages of the segmenter; "total" counts only where there is no other."""
    own = {NAMES.get(name, name): value for name, value in result.milliseconds.items() if name != "total"}
    for name, value in (own or {"device": result.milliseconds["total"]}).items():
        recorder.add(name, value)


def stages_from(recorder: LatencyRecorder, finished: Sequence[float], overlapped: bool) -> Stages:
    """The stages that were noted; the period is the mean from one finished frame to the next."""
    summaries = recorder.summaries()
    latency = {name: summaries[name] for name in ORDER if name in summaries}
    period = 1e3 * (finished[-1] - finished[0]) / max(1, len(finished) - 1)
    return Stages(latency, overlapped, sum(each.mean_ms for each in latency.values()), period)


def slowest_thread_ms(stages: Stages) -> float:
    """The mean time of the slowest thread of `stream` for a frame: it sets the pace of the overlapped stages."""
    return max(sum(stages.latency[name].mean_ms for name in names if name in stages.latency) for names in THREADS)


def stage_diagnostics(serial: Stages, overlapped: Stages | None = None) -> list[Diagnostic]:
    """What the stages leave unexplained: more than 5% of the period (or 0.2 ms) in series, more than 10% overlapped."""
    diagnostics = []
    if abs(serial.sum_ms - serial.period_ms) > max(CALL_MS, SUM_TOLERANCE * serial.period_ms):
        message = f"the stages sum up to {serial.sum_ms:.2f} ms, and a frame takes {serial.period_ms:.2f} ms"
        diagnostics.append(diagnostic("stages-sum", message))
    if overlapped is not None:
        slowest, period = slowest_thread_ms(overlapped), overlapped.period_ms
        if abs(slowest - period) > OVERLAP_TOLERANCE * period:
            message = f"the slowest thread takes {slowest:.2f} ms for a frame, and a frame takes {period:.2f} ms"
            diagnostics.append(diagnostic("stages-overlap", message))
    return diagnostics

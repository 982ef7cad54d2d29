"""Frames per second from image to labels, and of the engine alone, with one to four streams of one engine."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Sequence
from fractions import Fraction
from functools import partial

from edgeseg.artifact import Artifact
from edgeseg.engines import open_engine
from edgeseg.pixels.planes import Planes
from edgeseg.segmenter import Segmenter
from edgeseg.streaming import inference_stage, stream
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink
from edgeseg.video.sink_nothing import NothingSink
from edgeseg.video.source import FrameSource, SourceInfo
from edgeseg.video.writer import i420_from_rgb
from gpu_steps.nets import LARGE, split_item
from gpu_steps.plans import engines_here, plan_of_net
from gpu_steps.timing import FRAME, fps_of_threads, infer_of, stage_figures, street_frame
from gpu_steps.work import Results, Work, one_line

ITEMS = ("bisenetv2-camvid.fp16", "bisenetv2-1024x512.fp16", *(f"{net}.fp16" for net in LARGE))
THREADS = (1, 2, 4)


def run(item: str, work: Work) -> Results:
    """By engine: its frames per second, or its error."""
    net, precision = split_item(item)
    results: Results = {}
    for engine, made_for in engines_here(work).items():
        try:
            results[engine] = figures(plan_of_net(net, precision, engine, made_for, work), work)
        except Exception as problem:  # one engine's failure is its own
            results[engine] = {"error": one_line(problem)}
    return results


class Decoded(FrameSource):
    """One 1080p image again and again, as a decoder gives it: I420, converted to RGB on demand."""

    def __init__(self) -> None:
        super().__init__(SourceInfo(*FRAME, Fraction(25), None, "decoded"))
        width, height = FRAME
        self._rgb = street_frame()
        i420 = i420_from_rgb(self._rgb).reshape(-1)
        y, u, v = i420[: width * height], *i420[width * height :].reshape(2, -1)
        sides = (height, width), (height // 2, width // 2), (height // 2, width // 2)
        arrays = tuple(plane.reshape(size) for plane, size in zip((y, u, v), sides))
        self._planes = Planes("I420", arrays, "bt601", full_range=False)

    def _frames(self) -> Generator[Frame, None, None]:
        for index in itertools.count():
            yield Frame(index, index / 25, *FRAME, rgb=lambda: self._rgb, planes=lambda: self._planes)


class OverlaySink(FrameSink):
    """Counts results, and asks for overlays."""

    def __init__(self) -> None:
        super().__init__("overlays")

    def _write(self, result: Result) -> bool:
        return True


def figures(plan: Artifact, work: Work) -> Results:
    """Frames per second.

    compute_fps: the network alone on the device. infer: with the copies, by the number of threads, each with an engine
    of its own. one_by_one: a 1080p RGB image to its labels. pipelined: decoded images, by threads, through the stage of
    `edgeseg stream`, which begins the next image before it fetches the labels of the last. streamed: `edgeseg stream`
    without decoding and encoding, to masks and to overlays.
    """
    rgb = street_frame()
    with contextlib.ExitStack() as stack:
        engine = open_engine(plan.engine or "")
        backends = [stack.enter_context(engine.open(plan)) for _ in range(max(THREADS))]
        segmenters = [Segmenter(plan, backend) for backend in backends]
        compute = stage_figures(backends[0], work)["compute"]["mean_ms"]
        return {
            "compute_fps": 1e3 / compute,
            "infer": {str(n): fps_of_threads([infer_of(each) for each in backends[:n]], work) for n in THREADS},
            "one_by_one": fps_of_threads([lambda: segmenters[0].segment(rgb)], work),
            "pipelined": {str(n): pipelined_fps(segmenters[:n], work) for n in THREADS},
            "streamed": {
                "mask": streamed_fps(segmenters[0], NothingSink("null"), work),
                "overlay": streamed_fps(segmenters[0], OverlaySink(), work),
            },
        }


def pipelined_fps(segmenters: Sequence[Segmenter], work: Work) -> float:
    """Frames per second of all together; no image is under way before or after."""
    lines = [inference_stage(each)(iter(Decoded())) for each in segmenters]
    try:
        return fps_of_threads([partial(next, line) for line in lines], work)
    finally:
        for line in lines:
            line.close()


def streamed_fps(segmenter: Segmenter, sink: FrameSink, work: Work) -> float:
    """Frames per second of one stream."""
    for frames in (max(work.warm_up, 1), work.samples):
        report = stream(Decoded(), segmenter, sink, frames=frames)
    return report.fps

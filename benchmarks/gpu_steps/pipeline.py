"""Frames a second from picture to labels against those of the engine alone, with one to four streams of one engine."""

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
from edgeseg.streaming import predicted, stream
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink
from edgeseg.video.sink_file import i420_from_rgb
from edgeseg.video.sink_nothing import NothingSink
from edgeseg.video.source import FrameSource, SourceInfo
from gpu_steps.nets import LARGE, split_item
from gpu_steps.plans import engines_here, plan_of_net
from gpu_steps.timing import FRAME, fps_of_threads, infer_of, stage_figures, street_frame
from gpu_steps.work import Found, Work, one_line

ITEMS = ("bisenetv2-camvid.fp16", "bisenetv2-1024x512.fp16", *(f"{net}.fp16" for net in LARGE))
THREADS = (1, 2, 4)


def run(item: str, work: Work) -> Found:
    """By engine: its frames a second, or the reason why it has none."""
    net, precision = split_item(item)
    found: Found = {}
    for engine, made_for in engines_here(work).items():
        try:
            found[engine] = figures(plan_of_net(net, precision, engine, made_for, work), work)
        except Exception as problem:  # one engine's failure is its own
            found[engine] = {"error": one_line(problem)}
    return found


class Decoded(FrameSource):
    """One 1080p picture again and again, as a decoder gives it: I420, made RGB where it is asked for."""

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


class Looker(FrameSink):
    """Counts results, of which it wants the overlay."""

    def __init__(self) -> None:
        super().__init__("looker")

    def _write(self, result: Result) -> bool:
        return True


def figures(plan: Artifact, work: Work) -> Found:
    """Frames a second.

    compute_fps: the network alone on the device. infer: with the copies, by the number of threads, each with an engine
    of its own. one_by_one: a 1080p picture, rgb, to its labels. pipelined: decoded ones by threads, through the stage
    of `edgeseg stream`: the next one is begun before the last one's labels are fetched. streamed: all of `edgeseg
    stream` but decoding and encoding, to masks and to overlays.
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
                "overlay": streamed_fps(segmenters[0], Looker(), work),
            },
        }


def pipelined_fps(segmenters: Sequence[Segmenter], work: Work) -> float:
    """Frames a second of all together; none has a picture under way before or after."""
    lines = [predicted(each)(iter(Decoded())) for each in segmenters]
    try:
        return fps_of_threads([partial(next, line) for line in lines], work)
    finally:
        for line in lines:
            line.close()


def streamed_fps(segmenter: Segmenter, sink: FrameSink, work: Work) -> float:
    """Frames a second of one stream."""
    for frames in (max(work.warm_up, 1), work.samples):
        report = stream(Decoded(), segmenter, sink, frames=frames)
    return report.fps

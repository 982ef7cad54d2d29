"""Frames a second from picture to labels against those of the engine alone, with one to four streams of one engine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from edgeseg.artifact import Artifact
from edgeseg.engines import open_engine
from edgeseg.segmenter import Rgb, Segmenter
from gpu_steps.nets import LARGE, split_item
from gpu_steps.plans import engines_here, plan_of_net
from gpu_steps.timing import fps_of_threads, infer_of, stage_figures, street_frame
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


def figures(plan: Artifact, work: Work) -> Found:
    """Frames a second.

    compute_fps: the network alone on the device. infer: with the copies, by the number of threads, each with an engine
    of its own. one_by_one: a 1080p picture to its labels. pipelined: the same by threads, two pictures under way in
    each: the next one is begun before the last one's labels are fetched.
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
            "pipelined": {str(n): pipelined_fps(segmenters[:n], rgb, work) for n in THREADS},
        }


def pipelined_fps(segmenters: Sequence[Segmenter], rgb: Rgb, work: Work) -> float:
    """Frames a second of all together; none has a picture under way before or after."""

    def next_of(segmenter: Segmenter) -> Callable[[], object]:
        def step() -> None:
            segmenter.submit(rgb)
            segmenter.result()

        segmenter.submit(rgb)
        return step

    fps = fps_of_threads([next_of(each) for each in segmenters], work)
    for segmenter in segmenters:
        segmenter.result()
    return fps

"""Frames a second from picture to labels against those of the engine alone, with one to four streams of one engine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from edgeseg.artifact import Artifact
from edgeseg.engines import open_engine
from edgeseg.engines.backend import Backend
from edgeseg.segmenter import Segmenter
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
    """compute_fps: the network alone on the device. infer, end_to_end: frames a second by the number of threads."""
    with contextlib.ExitStack() as stack:
        engine = open_engine(plan.engine or "")
        backends = [stack.enter_context(engine.open(plan)) for _ in range(max(THREADS))]
        compute = stage_figures(backends[0], work)["compute"]["mean_ms"]
        return {
            "compute_fps": 1e3 / compute,
            "infer": {str(n): fps_of_threads([infer_of(each) for each in backends[:n]], work) for n in THREADS},
            "end_to_end": {
                str(n): fps_of_threads([segment_of(each, plan) for each in backends[:n]], work) for n in THREADS
            },
        }


def segment_of(backend: Backend, plan: Artifact) -> Callable[[], object]:
    segmenter, rgb = Segmenter(plan, backend), street_frame()
    return lambda: segmenter.segment(rgb)

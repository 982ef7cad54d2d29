"""Every net in every precision on each TensorRT that runs here: latency by stage, frames a second, equal labels."""

from __future__ import annotations

from edgeseg.artifact import Artifact
from edgeseg.engines import open_engine
from edgeseg.segmenter import Segmenter
from edgeseg.spec import Precision
from gpu_steps.agreement import agreement_with_cpu, miou_of
from gpu_steps.nets import NETS, split_item
from gpu_steps.plans import engines_here, plan_of_net
from gpu_steps.timing import call_figures, infer_of, stage_figures, street_frame
from gpu_steps.work import Results, Work, one_line

PRECISIONS = (Precision.FP32, Precision.FP16, Precision.INT8)
ITEMS = tuple(f"{net}.{precision}" for net in NETS for precision in PRECISIONS)


def run(item: str, work: Work) -> Results:
    """By engine: its figures, or the reason why it has none."""
    net, precision = split_item(item)
    results: Results = {}
    for engine, made_for in engines_here(work).items():
        try:
            results[engine] = figures(plan_of_net(net, precision, engine, made_for, work), net, work)
        except Exception as problem:  # one engine's failure is its own
            results[engine] = {"error": one_line(problem)}
    return results


def figures(plan: Artifact, net: str, work: Work) -> Results:
    """One plan. end_to_end: from a 1080p image to its labels of the same size, both in host memory."""
    with open_engine(plan.engine or "").open(plan) as backend:
        segmenter, rgb = Segmenter(plan, backend), street_frame()
        return {
            "output": list(backend.outputs[0].shape),
            "stages": stage_figures(backend, work),
            "infer": call_figures(infer_of(backend), work),
            "end_to_end": call_figures(lambda: segmenter.segment(rgb), work),
            "on_device": "upsample" not in segmenter.latency(),
            "agreement": agreement_with_cpu(backend, net, work),
            "accuracy": miou_of(segmenter, net),
        }

"""How a plan's labels compare with those of the float ONNX on the CPU, and with the truth."""

from __future__ import annotations

import os

from edgeseg.check_images import check_images
from edgeseg.datasets import open_dataset
from edgeseg.engines import open_engine
from edgeseg.engines.agreement import agreement_with
from edgeseg.engines.backend import Backend
from edgeseg.errors import EdgeSegError
from edgeseg.evaluation import evaluate
from edgeseg.segmenter import Segmenter
from edgeseg.weights import bundled_figures
from gpu_steps.nets import float_of_net
from gpu_steps.work import Results, Work, one_line

DATA = "EDGESEG_DATA"


def agreement_with_cpu(backend: Backend, net: str, work: Work) -> Results:
    """The share of equal labels on images of the synthetic street; null, and why, without ONNX Runtime.

    The backend is run all the same, so an engine that cannot run raises.
    """
    source = float_of_net(net, work)
    frames = check_images(source.spec).frames
    backend.infer({backend.inputs[0].name: frames[:1]})
    backend.synchronize()
    try:
        with open_engine("onnxruntime").open(source) as reference:
            return {**agreement_with(backend, reference, frames).to_dict(), "pictures": len(frames)}
    except EdgeSegError as problem:
        return {"labels": None, "why": one_line(problem)}


def miou_of(segmenter: Segmenter, net: str) -> Results:
    """The mIoU of a bundled model, a fraction, on the images of its card; null, and why, if there are none."""
    figures = bundled_figures().get(net)
    if figures is None:
        return {"miou": None, "why": "random weights"}
    uri = str(figures["data"])
    if DATA in uri and not os.environ.get(DATA):
        return {"miou": None, "why": f"{DATA} is not set"}
    results = evaluate(segmenter, open_dataset(os.path.expandvars(uri)))
    return {"miou": results.to_dict()["miou"], "pictures": results.images, "card": figures["miou"]}

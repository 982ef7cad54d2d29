"""pycuda against cuda-python: the same plan, and the time of one call by the wall clock, in turn."""

from __future__ import annotations

import contextlib
from unittest.mock import patch

from edgeseg.artifact import Artifact
from edgeseg.engines import open_engine
from edgeseg.engines.backend import Backend
from edgeseg.engines.tensorrt import backend as tensorrt_backend
from edgeseg.engines.tensorrt.cuda import CUDA_LAYERS, open_cuda
from edgeseg.errors import UnavailableError
from edgeseg.measure.recorder import summary_from_samples
from edgeseg.spec import Precision
from gpu_steps.plans import engines_here, plan_of_net
from gpu_steps.timing import infer_of, once
from gpu_steps.work import Results, Work, one_line

ITEMS = ("",)
NET = "bisenetv2-camvid"
PRECISION = Precision.FP16
TURN = 10  # calls


def run(item: str, work: Work) -> Results:
    """By layer: milliseconds of `infer` until its result is there, or why there are none."""
    engine, made_for = next(iter(engines_here(work).items()))
    plan = plan_of_net(NET, PRECISION, engine, made_for, work)
    results: Results = {}
    with contextlib.ExitStack() as stack:
        backends = {}
        for layer in CUDA_LAYERS:
            try:
                backends[layer] = stack.enter_context(opened(plan, layer))
            except Exception as problem:  # a layer that is not there, or too old
                results[layer] = {"error": one_line(problem)}
        if not backends:
            raise UnavailableError("no CUDA layer opens the plan", hint="pip install pycuda cuda-python")
        results |= in_turn(backends, work)
    return {"engine": engine, "net": NET, "layers": results}


def opened(plan: Artifact, layer: str) -> Backend:
    """The plan through one layer."""
    with patch.object(tensorrt_backend, "open_cuda", lambda device: open_cuda(device, layer)):
        return open_engine(plan.engine or "").open(plan)


def in_turn(backends: dict[str, Backend], work: Work) -> Results:
    """TURN calls of each, then of the next, until each has `work.samples` after its warm-up."""
    calls = {layer: infer_of(backend) for layer, backend in backends.items()}
    samples: dict[str, list[float]] = {layer: [] for layer in backends}
    while any(len(each) < work.warm_up + work.samples for each in samples.values()):
        for layer, call in calls.items():
            samples[layer] += [once(call) for _ in range(TURN)]
    return {layer: summary_from_samples(each[work.warm_up :]).to_dict() for layer, each in samples.items()}

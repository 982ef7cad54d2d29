"""Does TensorRT-RTX run on this GPU: a plan as RTX makes it unasked, one for the GPU that is there, one for 8.0."""

from __future__ import annotations

from edgeseg.engines import open_engine
from edgeseg.engines.tensorrt.compat import RTX
from edgeseg.spec import Precision
from gpu_steps.agreement import agreement_with_cpu
from gpu_steps.nets import float_of_net
from gpu_steps.plans import MADE_FOR, plan_of_net
from gpu_steps.work import Results, Work, one_line

ITEMS = ("",)
NET = "bisenetv2-camvid"


def run(item: str, work: Work) -> Results:
    """Each form, and the first that works; "" for none."""
    open_engine(RTX).available()
    float_of_net(NET, work)  # without it the rest says nothing about RTX
    forms = {made_for: attempt(made_for, work) for made_for in MADE_FOR}
    works = next((made_for for made_for, results in forms.items() if results["runs"]), "")
    return {"net": NET, "forms": forms, "works": works}


def attempt(made_for: str, work: Work) -> Results:
    """Build, deserialise and run one plan."""
    try:
        plan = plan_of_net(NET, Precision.FP32, RTX, made_for, work)
        with open_engine(RTX).open(plan) as backend:
            agreement = agreement_with_cpu(backend, NET, work)
    except Exception as problem:  # whatever it is, it is the answer
        return {"runs": False, "error": one_line(problem)}
    return {"runs": True, "agreement": agreement}

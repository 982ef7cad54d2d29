"""The targets on a GPU, and whether they were met. A target without a measurement is not met."""

from __future__ import annotations

from record import Verdict

from edgeseg.engines.agreement import least_labels
from edgeseg.weights import BUNDLED
from gpu_steps.nets import LARGE, split_item
from gpu_steps.tables import Outcomes, by_engine, pipelined_share, results_by

POST_SHARE, PIPELINED_SHARE = 0.10, 0.95
EQUAL_LABELS = 0.9999  # a tie between two classes may fall otherwise on the CPU, which may fuse multiply and add
PRECISION = "fp16"
NOTHING = "nothing was measured"


def verdicts_from_outcomes(outcomes: Outcomes, jobs: list[str]) -> list[Verdict]:
    """jobs: the names of all jobs."""
    return [finished(outcomes, jobs), twins(outcomes), agreement(outcomes), post(outcomes), pipelined(outcomes)]


def finished(outcomes: Outcomes, jobs: list[str]) -> Verdict:
    done = [job for job in jobs if "found" in outcomes.get(job, {})]
    inner = sum("error" in each for step in ("engines", "pipeline") for _, _, each in by_engine(outcomes, step))
    results = f"{len(done)} of {len(jobs)} jobs finished, {inner} engines in them failed"
    return Verdict("every job finishes", results, len(done) == len(jobs) and not inner)


def twins(outcomes: Outcomes) -> Verdict:
    kernels = results_by(outcomes, "kernels").get("", {}).get("kernels", {})
    target = f"kernels as their CPU twins: resize and overlay to the bit, {100 * EQUAL_LABELS:g}% of labels"
    if not kernels:
        return Verdict(target, NOTHING, False)
    met = all(each["equal"] >= (EQUAL_LABELS if name.startswith("labels") else 1) for name, each in kernels.items())
    worst = min(kernels, key=lambda name: kernels[name]["equal"])
    return Verdict(target, f"{100 * kernels[worst]['equal']:.4f}% equal at the worst ({worst})", met)


def agreement(outcomes: Outcomes) -> Verdict:
    """Only of the bundled models: with random weights equal labels measure rounding."""
    spare = {}
    for item, engine, each in by_engine(outcomes, "engines"):
        net, precision = split_item(item)
        labels = each.get("agreement", {}).get("labels")
        if net in BUNDLED and labels is not None:
            spare[f"{item} on {engine}: {100 * labels:.2f}%"] = labels - least_labels(precision)
    target = "bundled models label as on the CPU, within what a build allows"
    if not spare:
        return Verdict(target, NOTHING, False)
    worst = min(spare, key=lambda name: spare[name])
    return Verdict(target, f"{worst} at the worst of {len(spare)}", spare[worst] >= 0)


def post(outcomes: Outcomes) -> Verdict:
    """The time of the labels kernel on the logits of a street, as a share of each large network's."""
    target = f"post-processing under {100 * POST_SHARE:g}% of engine time at 2048x1024 with 19 classes"
    kernels = results_by(outcomes, "kernels").get("", {}).get("kernels", {})
    shares = {}
    for net in LARGE:
        for name, (milliseconds, stride) in engine_times(outcomes, net).items():
            kernel = kernels.get(f"labels street 1/{stride} fp32")
            if kernel:
                shares[f"{net} {PRECISION} on {name}"] = kernel["ms"]["p50_ms"] / milliseconds
    if not shares:
        return Verdict(target, NOTHING, False)
    worst = max(shares, key=lambda name: shares[name])
    return Verdict(target, f"{100 * shares[worst]:.1f}% at the worst ({worst})", shares[worst] < POST_SHARE)


def engine_times(outcomes: Outcomes, net: str) -> dict[str, tuple[float, int]]:
    """Milliseconds of `net` and its input pixels per logit, by engine; those of torch's CUDA graph if no engine ran."""
    results = results_by(outcomes, "engines").get(f"{net}.{PRECISION}", {})
    times = {
        engine: (each["stages"]["compute"]["p50_ms"], 1024 // each["output"][-2])
        for engine, each in results.items()
        if "error" not in each
    }
    graph = results_by(outcomes, "torch").get(net, {}).get("graph", {})
    if times or "p50_ms" not in graph:
        return times
    from edgeseg.models import open_family

    return {"torch's CUDA graph": (graph["p50_ms"], open_family(net.rpartition("-")[0]).stride)}


def pipelined(outcomes: Outcomes) -> Verdict:
    target = f"pipelined from image to labels at least {100 * PIPELINED_SHARE:g}% of engine-only FPS"
    shares = {
        f"{item} on {engine}": pipelined_share(each)
        for item, engine, each in by_engine(outcomes, "pipeline")
        if "error" not in each
    }
    if not shares:
        return Verdict(target, NOTHING, False)
    worst = min(shares, key=lambda name: shares[name])
    results = f"{100 * shares[worst]:.0f}% at the worst of {len(shares)} ({worst})"
    return Verdict(target, results, shares[worst] >= PIPELINED_SHARE)

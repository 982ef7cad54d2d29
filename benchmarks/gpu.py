"""Everything that only a GPU can tell, in one command that goes on where it was stopped.

    python benchmarks/gpu.py [--only STEP ...] [--redo STEP ...] [--json-out]
    make gpu

Steps: device (facts), rtx (does TensorRT-RTX run on this compute capability), engines (every net in fp32, fp16 and
int8: latency by stage, frames a second, equal labels), kernels (against their CPU twins), pipeline (frames a second
from picture to labels, several streams), torch (eager, CUDA graphs, torch.compile), layers (pycuda, cuda-python).

A step consists of jobs; each runs in a process of its own and writes what it found to --work. A rerun does those that
have not finished. A job that fails is one line in the record, and the others go on; the exit code is then 1. Without a
GPU nothing is written, and the exit code is 2.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gpu_steps import STEPS, jobs_of, open_step
from gpu_steps.device import gpu_facts
from gpu_steps.tables import tables_from_outcomes
from gpu_steps.verdicts import verdicts_from_outcomes
from gpu_steps.work import Work, one_line
from record import FOLDER, RESULTS, Record, add_output_option, device_slug, publish, run_child, run_main

from edgeseg.measure.device import board_name
from edgeseg.measure.load import LoadMeter

Run = Callable[[str, Work], None]


def measure(work: Work, steps: tuple[str, ...], run: Run) -> Record:
    """Run what has not finished of `steps`, and make the record of all that the folder holds."""
    for job in jobs_of(steps):
        if "found" in (work.outcome(job) or {}):
            continue
        run(job, work)
        outcome = work.outcome(job) or {}
        print(f"{job}: {outcome.get('error', 'done')} ({outcome.get('seconds', 0):.0f} s)", file=sys.stderr)
    return record_from_work(work)


def run_here(job: str, work: Work) -> None:
    """Run one job in this process and keep what it found, or why it failed."""
    meter = LoadMeter()
    step, _, item = job.partition("/")
    try:
        outcome = {"found": open_step(step).run(item, work)}
    except Exception as problem:  # whatever a driver, a builder or a missing package raises: the others go on
        outcome = {"error": one_line(problem)}
    load = meter.load()
    work.save(job, {**outcome, "seconds": load.wall_seconds, "foreign_cores": load.foreign_cores})


def run_apart(job: str, work: Work) -> None:
    """Run one job in a process of its own: a fault on the device ends that process, and no other."""
    began = time.perf_counter()
    words = ["--job", job, "--work", work.folder, "--samples", work.samples, "--warm-up", work.warm_up]
    try:
        run_child([sys.executable, __file__, *map(str, words)])
    except Exception as problem:
        work.save(job, {"error": one_line(problem), "seconds": time.perf_counter() - began, "foreign_cores": 0.0})


def record_from_work(work: Work) -> Record:
    """The record of all jobs that have run."""
    jobs = jobs_of(STEPS)
    outcomes = {job: outcome for job in jobs if (outcome := work.outcome(job))}
    seconds = sum(outcome["seconds"] for outcome in outcomes.values()) or 1.0
    foreign = sum(outcome["foreign_cores"] * outcome["seconds"] for outcome in outcomes.values()) / seconds
    return Record(
        name="gpu",
        question="What does this GPU make of every net, and do the kernels and the pipeline reach their targets?",
        how=f"each job in a process of its own; {work.samples} samples after {work.warm_up} to warm up, a thread in "
        "the pipeline too; stages, kernels and torch by the device's events, calls by the wall clock; a kernel's "
        "sample is a CUDA graph of 10 runs, so caches are warm; compute is queued layer by layer, not as a graph",
        tables=tables_from_outcomes(outcomes),
        verdicts=verdicts_from_outcomes(outcomes, jobs),
        foreign_cores=foreign,
        data={"jobs": outcomes},
    )


def result_path(gpu: str) -> Path:
    """The record's place: the board's folder, or one that is called by the GPU."""
    slug = device_slug() if board_name() else "-".join(re.findall(r"[a-z0-9.]+", gpu.lower()))
    return RESULTS / slug / "gpu.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP", help="run these steps")
    parser.add_argument("--redo", nargs="+", choices=STEPS, default=[], metavar="STEP", help="run these anew")
    parser.add_argument("--work", type=Path, default=FOLDER / ".gpu", help="outcomes, ONNX files and plans")
    parser.add_argument("--samples", type=int, default=200, help="timed calls")
    parser.add_argument("--warm-up", type=int, default=50, help="calls before those")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    add_output_option(parser)
    options = parser.parse_args()
    work = Work(options.work.resolve(), options.samples, options.warm_up)
    if options.job:
        run_here(options.job, work)
        return 0
    failed: list[str] = []

    def body() -> None:
        gpu = str(gpu_facts()["gpu"])
        for step in options.redo:
            work.remove(step)
        record = measure(work, tuple(step for step in STEPS if step in options.only), run_apart)
        failed.extend(job for job, outcome in record.data["jobs"].items() if "error" in outcome)
        publish(record, result_path(gpu) if options.json_out == RESULTS else options.json_out)

    return run_main(body) or int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())

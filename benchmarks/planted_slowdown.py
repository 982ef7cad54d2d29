"""Does an interleaved comparison find an engine that is 5% slower, and no difference where there is none?

    python benchmarks/planted_slowdown.py [--trials 20] [--slower 5] [--json-out]

Each trial compares an engine with itself as `edgeseg compare A B` does: in turns ABBA in one process, by own CPU time,
with the interval and the tolerance of that command. In half of the trials B does additional work in this process after
each image: a resize, as often as adds up to 5% of the engine's CPU time. The other half adds nothing;
the trials with and without take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from record import Record, Table, Verdict, add_output_option, publish, run_main

from edgeseg.bench.compare import CPU, TOLERANCE, WALL, Figure
from edgeseg.bench.compare_engines import compare_turns
from edgeseg.check_images import bench_images
from edgeseg.measure.interleaved import one_turn
from edgeseg.measure.load import LoadMeter
from edgeseg.opening import open_model
from edgeseg.pixels.resize import resize_rgb
from edgeseg.segmenter import Segmenter
from edgeseg.spec import Precision

FRAMES = 8
FOUND_SHARE, FALSE_SHARE = 19 / 20, 1 / 20
CALIBRATION_SECONDS = 2.0


class AddedWork:
    """Real work that takes a share of another work's CPU time: as many resizes as are owed, the rest is carried on."""

    def __init__(self, share: float, work_ms: float, operation: Callable[[], object]) -> None:
        self.operation, self.owed_ms = operation, 0.0
        self.operation_ms = cpu_ms(operation)
        self.share_ms = share * work_ms

    def __call__(self) -> None:
        self.owed_ms += self.share_ms
        while self.owed_ms >= self.operation_ms:
            self.operation()
            self.owed_ms -= self.operation_ms


def cpu_ms(work: Callable[[], object], seconds: float = CALIBRATION_SECONDS) -> float:
    """Own CPU time of a call, over `seconds`."""
    work()
    calls, cpu, end = 0, time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        work()
        calls += 1
    return (time.process_time() - cpu) * 1e3 / calls


def trial(segmenter: Segmenter, rgb: np.ndarray, added: AddedWork | None, seconds: float) -> dict[str, Figure]:
    """Compare the engine with itself; B has the added work."""

    def slowed() -> None:
        segmenter.segment(rgb)
        if added is not None:
            added()

    a = partial(one_turn, partial(segmenter.segment, rgb), seconds)
    figures = compare_turns(a, partial(one_turn, slowed, seconds))
    return {figure.name: figure for figure in figures}


def measure(options: argparse.Namespace) -> Record:
    cv2.setNumThreads(1)
    meter = LoadMeter()
    opened = open_model(
        options.model, engine=options.engine, precision=Precision(options.precision), threads=options.threads
    )
    with opened as segmenter:
        rgb = bench_images(segmenter.spec, None, FRAMES).frames[0]
        small = np.ascontiguousarray(rgb[: rgb.shape[0] // 4, : rgb.shape[1] // 4])
        engine_ms = cpu_ms(partial(segmenter.segment, rgb))
        added = AddedWork(options.slower / 100, engine_ms, partial(resize_rgb, small, rgb.shape[:2]))
        trials: list[tuple[bool, dict[str, Figure]]] = []
        for number in range(2 * options.trials):
            planted = number % 2 == 0
            trials.append((planted, trial(segmenter, rgb, added if planted else None, options.seconds)))
            figure = trials[-1][1][CPU]
            print(f"{number + 1}: {'planted' if planted else 'nothing'}: {figure.ratio} {figure.answer}", flush=True)
    return record_from_trials(trials, options, engine_ms, added.operation_ms, meter.load().foreign_cores)


def record_from_trials(
    trials: list[tuple[bool, dict[str, Figure]]],
    options: argparse.Namespace,
    engine_ms: float,
    operation_ms: float,
    foreign_cores: float,
) -> Record:
    sides = {"planted": [each for planted, each in trials if planted], "nothing": [each for p, each in trials if not p]}
    rows = []
    for name, figures in sides.items():
        for clock in (CPU, WALL):
            ratios = sorted(each[clock].ratio.value for each in figures if each[clock].ratio)
            answers = [each[clock].answer for each in figures]
            counts = [str(answers.count(answer)) for answer in ("worse", "better", "equal", "inconclusive")]
            spread = f"{ratios[0]:.3f} to {ratios[-1]:.3f}"
            rows.append([name, clock, f"{float(np.median(ratios)):.3f}", spread, *counts])
    found = sum(each[CPU].answer == "worse" for each in sides["planted"])
    false = sum(each[CPU].answer in ("worse", "better") for each in sides["nothing"])
    columns = ("added work", "clock", "median ratio", "ratios", "worse", "better", "equal", "inconclusive")
    return Record(
        name="planted_slowdown",
        question=f"Is an engine that is {options.slower:g}% slower found, and nothing where nothing is?",
        how=f"{options.model} on {options.engine} {options.precision}, {options.threads} threads: {engine_ms:.2f} CPU "
        f"ms an image; the added work is a resize of {operation_ms:.3f} CPU ms, repeated; {options.trials} trials with "
        f"it, as many without, in turn; turns of {options.seconds:g} s in the order ABBA; tolerance {TOLERANCE:.0%}",
        tables=[Table("Answers of all trials", columns, rows)],
        verdicts=[
            Verdict(
                f"found in at least {FOUND_SHARE:.0%} of the trials", f"{found} of {len(sides['planted'])}",
                found >= FOUND_SHARE * len(sides["planted"]),
            ),
            Verdict(
                f"a difference in at most {FALSE_SHARE:.0%} of the trials without one",
                f"{false} of {len(sides['nothing'])}", false <= FALSE_SHARE * len(sides["nothing"]),
            ),
        ],
        foreign_cores=foreign_cores,
        data={
            "engine_cpu_ms": engine_ms,
            "operation_cpu_ms": operation_ms,
            "trials": [
                {"planted": planted, **{name: {"ratio": figure.ratio.to_dict() if figure.ratio else None,
                                               "answer": figure.answer} for name, figure in figures.items()}}
                for planted, figures in trials
            ],
        },
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, help="with the added work, and as many without")
    parser.add_argument("--slower", type=float, default=5.0, help="the added work, in percent")
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn")
    parser.add_argument("--model", default="bisenetv2-camvid")
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--threads", type=int, default=1)
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())

"""Does an interleaved comparison find an engine that is 5% slower, and no difference where there is none?

    python benchmarks/planted_slowdown.py [--trials 20] [--slower 5] [--json-out]

Each trial compares an engine with itself as `edgeseg compare A B` does: in turns ABBA in one process, by own CPU time,
with the interval and the tolerance of that command. In half of the trials B does additional work in this process after
each image: it resizes an image until that took 5% of the CPU time of the engine. The other half adds nothing. Trials
with and without it take turns.
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
from edgeseg.spec import Precision

FRAMES = 8
FOUND_SHARE, FALSE_SHARE = 19 / 20, 1 / 20


class AddedWork:
    """Real work in addition to another work: operations until they took that share of its own CPU time.

    What one operation takes too much is taken off the next time.
    """

    def __init__(self, share: float, work: Callable[[], object], operation: Callable[[], object]) -> None:
        self.share, self.work, self.operation = share, work, operation
        self.owed = self.work_seconds = self.added_seconds = 0.0
        self.calls = 0

    def __call__(self) -> None:
        begin = time.process_time()
        self.work()
        end = time.process_time()
        self.owed += self.share * (end - begin)
        self.work_seconds += end - begin
        self.calls += 1
        while self.owed > 0:
            self.operation()
            begin, end = end, time.process_time()
            self.owed -= end - begin
            self.added_seconds += end - begin


def trial(a: Callable[[], object], b: Callable[[], object], seconds: float) -> dict[str, Figure]:
    """Compare two works."""
    figures = compare_turns(partial(one_turn, a, seconds), partial(one_turn, b, seconds), until=(CPU,))
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
        work = partial(segmenter.segment, rgb)
        slowed = AddedWork(
            options.slower / 100, work, partial(resize_rgb, small, (rgb.shape[0] // 2, rgb.shape[1] // 2))
        )
        trials: list[tuple[bool, dict[str, Figure]]] = []
        for number in range(2 * options.trials):
            planted = number % 2 == 0
            trials.append((planted, trial(work, slowed if planted else work, options.seconds)))
            figure = trials[-1][1][CPU]
            print(f"{number + 1}: {'planted' if planted else 'nothing'}: {figure.ratio} {figure.answer}", flush=True)
    return record_from_trials(trials, options, slowed, meter.load().foreign_cores)


def record_from_trials(
    trials: list[tuple[bool, dict[str, Figure]]],
    options: argparse.Namespace,
    slowed: AddedWork,
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
    engine_ms, added = 1e3 * slowed.work_seconds / slowed.calls, slowed.added_seconds / slowed.work_seconds
    found = sum(each[CPU].answer == "worse" for each in sides["planted"])
    false = sum(each[CPU].answer in ("worse", "better") for each in sides["nothing"])
    columns = ("added work", "clock", "median ratio", "ratios", "worse", "better", "equal", "inconclusive")
    return Record(
        name="planted_slowdown",
        question=f"Is an engine that is {options.slower:g}% slower found, and nothing where nothing is?",
        how=f"{options.model} on {options.engine} {options.precision}, {options.threads} thread: {engine_ms:.2f} CPU "
        f"ms an image; resizing adds {added:.2%} to it; {options.trials} trials with it, as many without, in turn; "
        f"turns of {options.seconds:g} s in the order ABBA, until the interval of CPU time is no wider than the "
        f"tolerance, {TOLERANCE:.0%}",
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
            "added_share": added,
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
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--threads", type=int, default=1)
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())

"""Does the own CPU time that `edgeseg bench` measures hold while other processes use every core?

    python benchmarks/cpu_under_load.py [--model NAME] [--engines openvino onnxruntime] [--rounds 5] [--json-out]

Each engine is measured by `edgeseg bench` quiet and beside one busy loop a core, in turns ABBA, each run in a process
of its own. The figures are the medians of the rounds. Every loaded run has to say that it was not alone.

What does not hold: of an engine with several threads, the time that they wait for each other in a loop, which is much
of a short inference; of one with fewer threads than cores, what hyper-threading takes from two threads on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from statistics import median
from typing import Any

from record import Record, Table, Verdict, add_output_option, edgeseg_command, publish, run_child, run_main

ALLOWED = 0.10
SCOPES = {"engine": "engine", "frame": "end to end"}
COLUMNS = ("engine", "precision", "scope", "quiet CPU ms", "loaded CPU ms", "change", "quiet p50 ms", "loaded p50 ms")


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """`count` processes that use a core each and do nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            loop = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(loop.kill)
        yield


def bench(options: argparse.Namespace, engine: str, precision: str, loops: int) -> dict[str, Any]:
    """The record of `edgeseg bench` beside `loops` busy loops."""
    which = ["--engine", engine, "--precision", precision]
    which += ["--size", options.size] if options.size else []
    which += ["--threads", str(options.threads)] if options.threads else []
    with busy_loops(loops):
        found = run_child(edgeseg_command("bench", options.model, *which, "-n", str(options.images), "--json")).json()
    figure = figure_of(found, "engine", "cpu_ms")
    print(f"{engine} {precision} beside {loops}: {figure:.1f} CPU ms, {found['status']}", file=sys.stderr, flush=True)
    return found


def figure_of(found: dict[str, Any], scope: str, name: str) -> float:
    """cpu_ms or p50_ms of a record's row."""
    row = next(row for row in found["rows"] if row["scope"] == scope)
    return float(row[name] if name in row else row["latency"][name])


def measure(options: argparse.Namespace) -> Record:
    cores = os.cpu_count() or 1
    runs = []
    for engine in options.engines:
        for precision in options.precisions:
            quiet: list[dict[str, Any]] = []
            loaded: list[dict[str, Any]] = []
            for number in range(options.rounds):
                for loops in (0, cores) if number % 2 == 0 else (cores, 0):
                    (loaded if loops else quiet).append(bench(options, engine, precision, loops))
            runs.append((engine, precision, quiet, loaded))
    return record_from_runs(runs, options, cores)


def record_from_runs(
    runs: list[tuple[str, str, list[dict[str, Any]], list[dict[str, Any]]]], options: argparse.Namespace, cores: int
) -> Record:
    rows: list[list[str]] = []
    changes: dict[str, list[float]] = {title: [] for title in SCOPES.values()}
    for engine, precision, quiet, loaded in runs:
        for scope, title in SCOPES.items():
            cpu = [median(figure_of(run, scope, "cpu_ms") for run in side) for side in (quiet, loaded)]
            wall = [median(figure_of(run, scope, "p50_ms") for run in side) for side in (quiet, loaded)]
            changes[title].append(cpu[1] / cpu[0] - 1)
            rows.append([engine, precision, title, *(f"{each:.1f}" for each in cpu), f"{changes[title][-1]:+.1%}",
                         *(f"{each:.1f}" for each in wall)])  # fmt: skip
    loaded_runs = [run for *_, loaded in runs for run in loaded]
    marked = [run for run in loaded_runs if run["status"] == "inconclusive" or "foreign-load" in codes_of(run)]
    return Record(
        name="cpu_under_load",
        question="Does the own CPU time of a benchmark hold while other processes use every core?",
        how=f"{options.model} at {options.size or 'its own size'}, {options.threads or cores} threads; "
        f"{options.rounds} runs of {options.images} images quiet, as many beside {cores} busy loops, in turns ABBA, "
        "each in a process of its own; warm-up until the latency stops falling; medians of runs",
        tables=[Table("Own CPU time beside busy loops", COLUMNS, rows)],
        verdicts=[
            *(Verdict(f"own CPU time changes by less than {ALLOWED:.0%}, {title}",
                      f"{max(found, key=abs):+.1%} at most", max(map(abs, found)) < ALLOWED)
              for title, found in changes.items()),
            Verdict("each loaded run is marked foreign-load or inconclusive", f"{len(marked)} of {len(loaded_runs)}",
                    len(marked) == len(loaded_runs)),
        ],
        foreign_cores=max(run["load"]["foreign_cores"] for _, _, quiet, _ in runs for run in quiet),
        data={"runs": [{"engine": engine, "precision": precision, "quiet": [figures_of(run) for run in quiet],
                        "loaded": [figures_of(run) for run in loaded]} for engine, precision, quiet, loaded in runs]},
    )  # fmt: skip


def codes_of(run: dict[str, Any]) -> list[str]:
    """The codes of a record's diagnostics."""
    return [each["code"] for each in run["diagnostics"]]


def figures_of(run: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a run."""
    figures = {scope: {name: figure_of(run, scope, name) for name in ("cpu_ms", "p50_ms")} for scope in SCOPES}
    return {**figures, "status": run["status"], "diagnostics": codes_of(run), "load": run["load"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="icnet-camvid")
    parser.add_argument("--engines", nargs="+", default=["openvino", "onnxruntime"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "int8"])
    parser.add_argument("--size", metavar="WIDTHxHEIGHT", help="input size (default: the model's)")
    parser.add_argument("--threads", type=int, help="of the engine (default: all cores)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=150, help="timed images of a run (default %(default)s)")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    sys.exit(main())

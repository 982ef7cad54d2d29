"""Does the memory of the process that hands out the units of a batch stay flat?

    python benchmarks/batch_memory.py [--units 200 5000] [--json-out]

The largest resident size of that process, over simulated units without an engine: the local runner, and Ray where
`ray[data]` is installed. Each run is a process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from batch import ray_text
from record import Record, Table, Verdict, add_output_option, publish, run_child, run_main

from edgeseg.batch.attempt import Attempt
from edgeseg.batch.batch import BatchReport, run_units, todo_of
from edgeseg.batch.local import LocalRunner
from edgeseg.batch.ray import connected, rows_from_ray
from edgeseg.batch.rows import empty_row
from edgeseg.batch.shard import Shard
from edgeseg.batch.sources import units_from_sources
from edgeseg.batch.units import Unit
from edgeseg.errors import FormatError
from edgeseg.measure.load import LoadMeter
from edgeseg.measure.memory import high_water_mib
from edgeseg.progress import Progress, silent

GROWTH = 1.1


class SimulatedUnit:
    """The work of a unit without an engine: a marker, as any other unit leaves one."""

    def __init__(self, out: str, progress: Progress = silent, stop: threading.Event | None = None) -> None:
        self._out = Path(out)

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        work = Unit(**unit)
        row = {**empty_row(work, "simulated"), "marked": True, "frames": 1}
        Attempt(self._out, work).commit(row)
        return row


def simulate(runner: str, count: int) -> None:
    """Hand out simulated units, and print the largest resident size of this process in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        out, videos = Path(folder) / "out", Path(folder) / "in"
        videos.mkdir()
        for number in range(count):
            (videos / f"{number:06d}.mp4").touch()
        todo, _ = todo_of(units_from_sources([str(videos)], "simulated", out), out, Shard())
        report, options = BatchReport(open=len(todo)), {"out": str(out)}
        if runner == "local":
            run_units(LocalRunner(options, work="batch_memory:SimulatedUnit", processes=2).rows(todo), report)
        else:
            with connected("local") as ray:
                items = [dataclasses.asdict(unit) for unit in todo]
                run_units(rows_from_ray(ray, "batch_memory:SimulatedUnit", options, items, actors=2), report)
        if report.open or report.summary.done != count:
            raise FormatError(f"{report.open} of {count} units are open", hint="see the log of Ray")
    print(json.dumps({"peak_mib": high_water_mib(), "seconds": report.summary.ended_at - report.summary.began_at}))  # type: ignore[operator]


def memory(options: argparse.Namespace, record: Record, has_ray: bool) -> None:
    """Add the table of the driver's memory."""
    rows, few, many = [], *options.units
    for runner in ("local", "ray") if has_ray else ("local",):
        found = {
            count: run_child([sys.executable, __file__, "--simulate", runner, "--units", str(count)]).json()
            for count in (few, many)
        }
        peaks = {count: result["peak_mib"] for count, result in found.items()}
        rows += [[runner, str(count), f"{peak:.0f}", f"{found[count]['seconds']:.1f}"] for count, peak in peaks.items()]
        growth = peaks[many] / peaks[few]
        text = f"{runner}: {growth:.3f} times from {few} to {many} units"
        record.verdicts.append(Verdict(f"at most {GROWTH} times", text, growth <= GROWTH))
    record.tables.append(Table("memory of the driver, simulated units", ["runner", "units", "peak MiB", "s"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, nargs="+", default=[200, 5000], help="simulated units: few and many")
    parser.add_argument("--simulate", choices=["local", "ray"], help=argparse.SUPPRESS)
    add_output_option(parser)
    options = parser.parse_args()
    if options.simulate:
        simulate(options.simulate, options.units[0])
        return
    meter = LoadMeter()
    record = Record(
        "batch_memory",
        "Does the memory of the process that hands out the units of a batch stay flat?",
        f"units that only write their marker; each run is a process of its own. Ray: {ray_text()}.",
    )
    memory(options, record, has_ray=not ray_text().startswith("not"))
    record.foreign_cores = meter.load().foreign_cores
    publish(record, options.json_out)


if __name__ == "__main__":
    raise SystemExit(run_main(main))

"""A batch: units without a marker, through a runner, to a summary."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.batch.attempt import remove_leftovers
from edgeseg.batch.job import BatchJob
from edgeseg.batch.local import SEGMENT_VIDEO, LocalRunner
from edgeseg.batch.markers import BatchSummary, marked_digests, marker_path, row_of_marker
from edgeseg.batch.ray import connected, rows_from_ray, takes_cpu
from edgeseg.batch.shard import Shard
from edgeseg.batch.units import Unit
from edgeseg.engines import open_engine
from edgeseg.files import writable_folder
from edgeseg.measure.device import available_threads
from edgeseg.progress import Progress, silent

OnRow = Callable[["BatchReport"], None]


@dataclass
class BatchReport:
    """What a batch did. summary: of this run's units. before: units that had a marker already. open: without one now.

    processes: that did the units, with the frames per second by number where it was measured; 0 on Ray.
    """

    summary: BatchSummary = field(default_factory=BatchSummary)
    before: int = 0
    open: int = 0
    processes: int = 0
    rates: dict[int, float] = field(default_factory=dict)
    interrupted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            **self.summary.to_dict(),
            "before": self.before,
            "open": self.open,
            "processes": self.processes,
            "rates": {str(count): rate for count, rate in self.rates.items()},
            "interrupted": self.interrupted,
        }


def todo_of(units: Iterable[Unit], out: Path, shard: Shard, *, retry_errors: bool = False) -> tuple[list[Unit], int]:
    """The units of the shard that have no marker, or none that can be read, and the number of the others.

    Leftovers of attempts at them are removed. retry_errors: units whose marker has an error are to be done again.
    """
    own = [unit for unit in units if shard.has_name(unit.name)]
    marked = marked_digests(writable_folder(out))
    done = {digest for unit in own if (digest := unit.digest) in marked and is_done(out, digest, retry_errors)}
    remove_leftovers(out, (unit.digest for unit in own))
    todo = [unit for unit in own if unit.digest not in done]
    return todo, len(own) - len(todo)


def is_done(out: Path, digest: str, retry_errors: bool) -> bool:
    """Whether the marker of a unit can be read. retry_errors: one that has an error is removed."""
    row = row_of_marker(out, digest)
    if row is not None and row["error"] is not None and retry_errors:
        marker_path(out, digest).unlink(missing_ok=True)
        return False
    return row is not None


def run_units(
    rows: Iterable[dict[str, Any]],
    report: BatchReport,
    on_row: OnRow = lambda report: None,
) -> BatchReport:
    """Add each row to the report, which has the number of open units."""
    for row in rows:
        if row["marked"]:
            report.open -= 1
        report.summary.add(row)
        on_row(report)
    return report


def run_local(
    job: BatchJob,
    todo: Sequence[Unit],
    report: BatchReport,
    *,
    processes: int | None = None,
    stop: threading.Event | None = None,
    on_row: OnRow = lambda report: None,
    on_frames: Progress = silent,
) -> BatchReport:
    """Do `todo` in processes of this machine: `processes`, or as many as pay."""
    cores = available_threads()
    most = max(1, min(cores // (job.threads or 1), len(todo)))
    if job.threads is None and open_engine(job.runtime).is_on_cpu(job.device):
        job = dataclasses.replace(job, threads=max(1, cores // (processes or most)))
    runner = LocalRunner({"job": job.to_dict()}, processes=processes, most=most, stop=stop, on_frames=on_frames)
    try:
        run_units(runner.rows(todo), report, on_row)
    finally:
        remove_leftovers(Path(job.out), (unit.digest for unit in todo))
    report.processes, report.rates = runner.count.working, runner.count.rates
    return report


def run_ray(
    job: BatchJob,
    todo: Sequence[Unit],
    report: BatchReport,
    *,
    address: str,
    processes: int | None = None,
    stop: threading.Event | None = None,
    on_row: OnRow = lambda report: None,
) -> BatchReport:
    """Do `todo` in actors of a Ray cluster, each with one CPU or one GPU."""
    on_cpu = takes_cpu(job.runtime, job.device)
    if on_cpu and job.threads is None:
        job = dataclasses.replace(job, threads=1)
    items = [dataclasses.asdict(unit) for unit in todo]
    options = {"job": job.to_dict()}
    gpus = 0 if on_cpu else 1
    try:
        with connected(address) as ray:
            rows = rows_from_ray(ray, SEGMENT_VIDEO, options, items, actors=processes, gpus=gpus, stop=stop)
            return run_units(rows, report, on_row)
    finally:
        remove_leftovers(Path(job.out), (unit.digest for unit in todo))

"""The work of a batch: one video or one folder of images, which may be done again and never raises."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from edgeseg.batch.attempt import Attempt
from edgeseg.batch.job import BatchJob
from edgeseg.batch.markers import row_of_marker
from edgeseg.batch.remote import fetch
from edgeseg.batch.rows import OF_MACHINE, STOPPED, died, empty_row, error_of, is_of_system
from edgeseg.batch.units import Unit
from edgeseg.progress import Progress, silent
from edgeseg.streaming import StreamReport, stream
from edgeseg.video.sink import open_sinks
from edgeseg.video.source import open_source

MOST_ATTEMPTS = 3  # of processes that die over the same unit


class SegmentVideo:
    """Does units with one opened engine. A process makes one and calls it with one unit after another.

    job: `BatchJob.to_dict()`. progress: called with each frame. stop: ends the unit in progress, whose row then has the
    error ES-STOPPED and whose outputs are removed. The constructor raises where the engine does not open.
    """

    def __init__(self, job: dict[str, Any], progress: Progress = silent, stop: threading.Event | None = None) -> None:
        self._job = BatchJob.from_dict(job)
        self._segmenter = self._job.open()
        self._progress, self._stop = progress, stop or threading.Event()

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        """Do a unit, `dataclasses.asdict` of a `Unit`, and return its row; an error is in its `error`.

        marked: whether the unit has a marker now, so that it is not done again.
        """
        work = Unit(**unit)
        done = row_of_marker(Path(self._job.out), work.digest)  # by an actor that was lost before its row arrived
        if done is not None:
            return done
        row = empty_row(work, self._job.digest)
        began = time.perf_counter()
        try:
            attempt = Attempt(Path(self._job.out), work)
        except OSError as problem:
            return {**row, "error": error_of(problem)}
        try:
            if attempt.earlier >= MOST_ATTEMPTS:
                row["error"] = died(attempt.earlier)
            else:
                row |= self._segment(work, attempt)
        except Exception as problem:  # one unit must never end the others, whatever a library raises
            row["error"] = error_of(problem)
        row |= {"seconds": time.perf_counter() - began, "ended_at": time.time()}
        return self._ended(work, attempt, row)

    def _segment(self, unit: Unit, attempt: Attempt) -> dict[str, Any]:
        """The figures of the unit, whose outputs are in the attempt's folder now."""
        job = self._job
        check_reachable(unit)
        place = fetch(unit.source, attempt.fetched) if unit.is_remote else unit.source
        with open_source(place, skip_errors=job.skip_errors, sample=job.sample) as source:
            uris = [within(attempt.outputs, uri) for uri in job.write]
            sinks = open_sinks(uris, source.info, inputs=source.files())
            try:
                report = stream(
                    source, self._segmenter, sinks, frames=job.frames, opacity=job.opacity, legend=job.legend,
                    stop=self._stop, progress=self._progress,
                )  # fmt: skip
            finally:
                for sink in sinks:
                    sink.close()
        if self._stop.is_set():
            return {"error": STOPPED}
        if report.failures:  # the other outputs are whole, and are made again with it
            failure = report.failures[0]
            hint = "free space, or name another folder with -o"
            return {"error": {"code": failure.code, "message": failure.message, "hint": hint}}
        return figures_of(report)

    def _ended(self, unit: Unit, attempt: Attempt, row: dict[str, Any]) -> dict[str, Any]:
        """The row, with its marker where it is to have one."""
        error = row["error"]
        try:
            if error is not None and error["code"] in (*OF_MACHINE, STOPPED["code"]):
                return row
            if attempt.commit({**row, "marked": True}):
                return {**row, "marked": True}
            return row_of_marker(Path(self._job.out), unit.digest) or {**row, "error": STOPPED}
        except OSError as problem:
            return {**row, "error": error_of(problem)}
        finally:
            attempt.discard()


def figures_of(report: StreamReport) -> dict[str, Any]:
    """What a row says of a stream that came to its end."""
    figures = report.to_dict()
    cpu_seconds = report.load.cpu_seconds
    return {"frames": report.frames, "cpu_seconds": cpu_seconds, **{key: figures[key] for key in ("latency", "losses")}}


def check_reachable(unit: Unit) -> None:
    """OSError where the system cannot say whether there is a file: else the file would count as missing for good."""
    try:
        if not unit.is_remote:
            Path(unit.source).stat()
    except (OSError, ValueError) as problem:
        if is_of_system(problem):
            raise


def within(folder: Path, uri: str) -> str:
    """The sink `uri` with its place in `folder`."""
    kind, colon, place = uri.partition(":")
    if uri == "null":
        return uri
    return f"{kind}:{folder}/{place}" if colon else f"{folder}/{uri}"

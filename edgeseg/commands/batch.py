"""`edgeseg batch`: thousands of videos and image folders through a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands.options import (
    ENGINES_FOLDER,
    Crf,
    Device,
    Engine,
    Json,
    Overlap,
    PrecisionName,
    ShardText,
    SizeText,
    Threads,
    TilesName,
    engine_facts,
    option,
    precision_or_none,
    size_or_none,
)
from edgeseg.errors import MismatchError

if TYPE_CHECKING:
    from edgeseg.artifact import Artifact
    from edgeseg.batch.batch import BatchReport
    from edgeseg.batch.job import BatchJob
    from edgeseg.batch.markers import BatchSummary
    from edgeseg.batch.units import Unit

WORK = "Work"  # panel of the help page
DEFAULT_SINK = "overlay.mp4"
PRINTED_ERRORS = 20
UNFINISHED, INTERRUPTED = 1, 130  # exit codes

EXAMPLES = """
  edgeseg batch drives/ bisenetv2-camvid -o out/
  edgeseg batch '*.mp4' frames/ @list.txt model.onnx -o out/ --write masks/
  edgeseg batch 's3://bucket/drives/*.mp4' model.onnx -o out/ --shard 3/8
  edgeseg batch drives/ model.onnx -o out/ --sample 1 --write masks/
  edgeseg batch drives/ model.onnx -o out/ --ray auto
  edgeseg batch --merge out/
"""


def command(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCES", help="Videos, folders, globs, @list.txt or URLs (s3://, gs://, https://)."),
    ] = None,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A bundled name (edgeseg models) or a file.")] = "",
    out: Annotated[Path | None, option("-o --output DIR", "Folder for the outputs and the markers.")] = None,
    write: Annotated[
        list[str] | None,
        option(
            "--write SINK",
            "What to write for each unit, in a folder of its own: overlay.mp4, masks/, images:overlays/, results.jsonl "
            "(?rle=0, ?polygons=1) or null; repeat it for several.",
            default=DEFAULT_SINK,
        ),
    ] = None,
    processes: Annotated[
        int | None, option("--processes N", "Processes, or actors of Ray.", WORK, "as many as pay", min=1)
    ] = None,
    shard: ShardText = None,
    ray: Annotated[
        str | None, option("--ray ADDRESS", "Run on a Ray cluster: local, auto or HOST:PORT.", WORK, "no Ray")
    ] = None,
    merge: Annotated[Path | None, option("--merge DIR", "Sum up the markers in DIR, and do nothing.", WORK)] = None,
    retry_errors: Annotated[
        bool, option("--retry-errors", "Do the units again that ended with an error.", WORK)
    ] = False,
    engine: Engine = None,
    precision: PrecisionName = None,
    size: SizeText = None,
    tiles: TilesName = None,
    overlap: Overlap = None,
    crf: Crf = None,
    sample: Annotated[
        str | None, option("--sample RATE", "So many frames a second, or key: the key frames.", default="every frame")
    ] = None,
    frames: Annotated[int | None, option("--frames N", "Stop each unit after N frames.", min=1)] = None,
    opacity: Annotated[float, option("--opacity X", "How strongly class colours cover the image.", min=0, max=1)] = 0.5,
    legend: Annotated[bool, option("--legend", "Show the colours of the classes on overlays.")] = False,
    skip_errors: Annotated[bool, option("--skip-errors", "Skip images that cannot be read, and count them.")] = False,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Segment many videos and image folders with MODEL.

    A video or a folder of images is a unit. Its outputs get their names when they are whole, and then a marker
    DIR/<digest>.json; a rerun does the units without one. A source that cannot be read is a row with an error, and does
    not end the batch. The exit code is 1 where units remain to be done. Ctrl-C stops, and loses the units in progress.
    """
    from edgeseg.batch.sources import units_from_sources

    if merge is not None:
        print_merged(merge, as_json=as_json)
        return
    folder = checked_usage(sources, model, out)
    artifact, job = job_from_options(
        model, folder, tuple(write or [DEFAULT_SINK]), engine, precision, size, tiles=tiles, overlap=overlap, crf=crf,
        sample=sample, frames=frames, opacity=opacity, legend=legend, skip_errors=skip_errors, device=device,
        threads=threads,
    )  # fmt: skip
    units = units_from_sources(sources or [], job.digest, folder)
    report = run(job, units, folder, shard, ray, processes, retry_errors=retry_errors)
    facts = {
        **engine_facts(artifact, "auto" if ray else device), **({"device": device} if ray else {}),
        "out": str(folder), "shard": shard, **report.to_dict(),
    }  # fmt: skip
    print_summary(report.summary, facts, as_json=as_json)
    print_rest(report, folder)
    if report.interrupted or report.open:
        raise typer.Exit(INTERRUPTED if report.interrupted else UNFINISHED)


def checked_usage(sources: list[str] | None, model: str, out: Path | None) -> Path:
    """The folder of the outputs. MismatchError where an argument is missing."""
    hint = "edgeseg batch drives/ bisenetv2-camvid -o out/; see edgeseg batch --help"
    if not model or not sources:
        raise MismatchError("SOURCES or MODEL is missing", hint=hint, code="ES-USAGE")
    if out is None:
        raise MismatchError("the option -o is missing", hint=hint, code="ES-USAGE")
    return out


def job_from_options(
    model: str, out: Path, write: tuple[str, ...], engine: str | None, precision: str | None, size: str | None,
    **options: Any,
) -> tuple[Artifact, BatchJob]:  # fmt: skip
    """The engine of MODEL, which is converted first where it has none, and the job that runs it."""
    import dataclasses

    from edgeseg.batch.job import checked_sinks, engine_for_batch, job_from_artifact
    from edgeseg.commands.terminal import shown_progress
    from edgeseg.spec import tiles_from_options
    from edgeseg.video.sampled import rate_from_text

    checked_sinks(write)
    tiles_from_options(options["tiles"], options["overlap"])
    if options["sample"] is not None:
        rate_from_text(options["sample"])
    with shown_progress() as progress:
        artifact = engine_for_batch(
            model, engine=engine, precision=precision_or_none(precision), size=size_or_none(size),
            folder=ENGINES_FOLDER, device=options["device"], progress=progress,
        )  # fmt: skip
    job = job_from_artifact(artifact, out, write, engine=engine, **options)
    return dataclasses.replace(artifact, engine=job.runtime), job


def run(
    job: BatchJob, units: list[Unit], out: Path, shard: str | None, ray: str | None, processes: int | None, *,
    retry_errors: bool,
) -> BatchReport:  # fmt: skip
    """Do the units of the shard that have no marker."""
    from edgeseg.batch.batch import BatchReport, run_local, run_ray, todo_of
    from edgeseg.batch.listing import note_shard
    from edgeseg.batch.shard import Shard, shard_from_text
    from edgeseg.commands.signals import stopped_by_signals
    from edgeseg.commands.terminal import shown_progress

    part = shard_from_text(shard) if shard else Shard()
    todo, before = todo_of(units, out, part, retry_errors=retry_errors)
    if shard:
        note_shard(out, part, job.digest, before + len(todo))
    report = BatchReport(before=before, open=len(todo))
    if not todo:
        return report
    with shown_progress() as progress, stopped_by_signals() as stop:
        shown = ShownBatch(progress, len(todo))
        if ray is not None:
            run_ray(job, todo, report, address=ray, processes=processes, stop=stop, on_row=shown.on_row)
        else:
            run_local(job, todo, report, processes=processes, stop=stop, on_row=shown.on_row, on_frames=shown.on_frames)
        report.interrupted = stop.is_set() and report.open > 0
    return report


class ShownBatch:
    """Units and frames on the terminal, with the time that is left at the rate so far."""

    def __init__(self, progress: Callable[..., None], total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress, self._total, self._clock = progress, total, clock
        self._began = clock()
        self._rows = self._frames = self._failed = 0

    def on_row(self, report: BatchReport) -> None:
        """A unit is done."""
        self._failed = report.summary.failed
        self._rows = report.summary.done + self._failed
        self._frames = max(self._frames, report.summary.frames)
        self._show()

    def on_frames(self, task: str, done: int, total: int | None) -> None:
        """So many frames are done."""
        self._frames = done
        self._show()

    def _show(self) -> None:
        seconds = max(1e-6, self._clock() - self._began)
        figures = f"{self._frames / seconds:.1f} frames/s, {self._failed} errors"
        if self._rows:
            left = seconds / self._rows * (self._total - self._rows)
            figures += f", {left / 60:.0f} min left" if left >= 120 else f", {left:.0f} s left"
        self._progress("batch", self._rows, self._total, figures)


def print_merged(out: Path, *, as_json: bool) -> None:
    """Print the sum of the markers in `out`, and which shards and how many units are missing."""
    from edgeseg.batch.listing import missing_work
    from edgeseg.batch.markers import merged
    from edgeseg.commands.terminal import note, print_json

    summary = merged(out)
    shards, units = missing_work(out, summary)
    if as_json:
        print_json({**summary.to_dict(), "missing_shards": [str(shard) for shard in shards], "open": units})
    else:
        print_summary(summary, {}, as_json=False)
        if shards:
            shown = ", ".join(map(str, shards[:PRINTED_ERRORS])) + (", ..." if len(shards) > PRINTED_ERRORS else "")
            note(f"{len(shards)} shards have not begun in this folder: {shown}")
        if units:
            note(f"{units} units of the shards that have begun remain: run them again")


def print_summary(summary: BatchSummary, facts: dict[str, Any], *, as_json: bool) -> None:
    """Print the sum of rows, and the errors among them. facts: what a run knows beside it, for the JSON."""
    from edgeseg.commands.terminal import note, print_json, print_row, print_table

    if as_json:
        print_json(facts or summary.to_dict())
        return
    row = {
        "units": summary.done + summary.failed,
        "errors": summary.failed,
        "with losses": summary.losses,
        "frames": summary.frames,
        "frames/s": f"{summary.fps:.1f}",
        "CPU ms a frame": f"{1e3 * summary.cpu_seconds / summary.frames:.1f}" if summary.frames else "-",
    }
    if facts:
        row |= {"done before": facts["before"], "processes": facts["processes"] or "-"}
    print_row(row)
    if len(summary.jobs) > 1:
        note(f"note: the markers are of {len(summary.jobs)} engines or sets of options")
    errors = summary.errors[:PRINTED_ERRORS]
    if errors:
        title = f"{len(errors)} of {summary.failed} errors" if len(errors) < summary.failed else "errors"
        lines = [[error["source"], error["code"], error["message"]] for error in errors]
        print_table(["source", "code", "message"], lines, title=title)


def print_rest(report: BatchReport, out: Path) -> None:
    """Say where the outputs are, and what remains."""
    from edgeseg.commands.terminal import note, wrote

    if report.interrupted:
        note("stopped")
    if report.open:
        note(f"{report.open} units remain: run the command again")
    if report.summary.failed:
        note("the markers hold every error; --retry-errors does these units again")
    wrote(out, f"edgeseg batch --merge {out}")

"""`edgeseg stream` of one recording: every frame counts."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence

import typer

from edgeseg.artifact import Artifact
from edgeseg.commands.options import engine_facts
from edgeseg.commands.signals import stopped_by_signals
from edgeseg.commands.stream_live import FAILED
from edgeseg.commands.terminal import note, print_json, print_row, shown_progress, wrote, wrote_by
from edgeseg.errors import EdgeSegError
from edgeseg.live.run_file import RunConfig
from edgeseg.segmenter import Segmenter
from edgeseg.streaming import StreamReport, stream
from edgeseg.uri import redacted
from edgeseg.video.sink import FrameSink, open_sinks
from edgeseg.video.source import FrameSource, Loss
from edgeseg.video.truth import TruthSink, truth_sinks
from edgeseg.video.working_sinks import stopped


def stream_recording(
    config: RunConfig, source: FrameSource, segmenter: Segmenter, *, frames: int | None, overwrite: bool, as_json: bool
) -> None:
    """Stream the recording to its outputs, and print what was done; exit code 2 where an output failed."""
    outputs = list(config.streams[0].output)
    sinks = open_sinks(outputs, source.info, inputs=source.files(), overwrite=overwrite)
    judges = truth_sinks(source, segmenter.spec.labels)
    try:
        with shown_progress() as progress, stopped_by_signals() as stop:
            report = stream(
                source, segmenter, [*sinks, *judges], frames=frames, opacity=config.opacity, legend=config.legend,
                stop=stop, progress=progress,
            )  # fmt: skip
    finally:
        unfinished = closed(sinks)
    report = dataclasses.replace(report, failures=(*report.failures, *unfinished))
    shown = [redacted(uri) for uri in outputs]
    print_report(segmenter.artifact, report, shown, judges, device=config.device, as_json=as_json)
    wrote_by(sinks)
    wrote(None, f"edgeseg bench {shlex.quote(segmenter.artifact.location)}")
    if report.failures:
        raise typer.Exit(FAILED)


def closed(sinks: Sequence[FrameSink]) -> list[Loss]:
    """Close all sinks; what those lost that could not finish their files."""
    losses = []
    for sink in sinks:
        try:
            sink.close()
        except (EdgeSegError, OSError) as problem:
            losses.append(stopped(sink, problem))
    return losses


def print_report(
    artifact: Artifact,
    report: StreamReport,
    outputs: list[str],
    judges: list[TruthSink],
    *,
    device: str = "auto",
    as_json: bool,
) -> None:
    """Print what a stream did; losses of its source and failures of its outputs go to stderr."""
    for warning in report.warnings:
        note(f"warning: {warning}")
    mious = [judge.confusion.miou() for judge in judges if judge.frames_written]
    if as_json:
        miou = mious[0] if mious else None
        print_json({**engine_facts(artifact, device), "outputs": outputs, "miou": miou, **report.to_dict()})
        return
    total = report.latency.get("total")
    row = {
        "engine": artifact.engine or "onnx",
        "precision": artifact.precision,
        "frames": report.frames,
        "FPS": f"{report.fps:.1f}",
        "p50 ms": f"{total.p50_ms:.1f}" if total else "-",
        "p99 ms": f"{total.p99_ms:.1f}" if total else "-",
    }
    if report.interrupted:
        row["end"] = "interrupted"
    if mious:
        row["mIoU, %"] = f"{100 * mious[0]:.2f}"
    print_row(row)

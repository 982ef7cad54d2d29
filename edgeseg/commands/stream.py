"""`edgeseg stream`: a camera, a URL or a file through a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands.options import (
    Device,
    Engine,
    Json,
    Model,
    PrecisionName,
    SizeText,
    Threads,
    segmenter_from_options,
)

if TYPE_CHECKING:
    from edgeseg.artifact import Artifact
    from edgeseg.stream import StreamReport


def command(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file, folder, glob, URL, camera:0 or test://street.")
    ],
    model: Model,
    sink: Annotated[
        str, typer.Option("-o", "--output", metavar="SINK", help="A video file, a folder, window or null.")
    ] = "overlay.mp4",
    engine: Engine = None,
    precision: PrecisionName = None,
    size: SizeText = None,
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="Stop after that many.")] = None,
    opacity: Annotated[float, typer.Option("--opacity", min=0.0, max=1.0, help="Of the classes' colours.")] = 0.5,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Segment every frame of SOURCE with MODEL and write the overlay to SINK. Ctrl-C ends it with a playable file."""
    from edgeseg.commands.terminal import shown_progress, wrote
    from edgeseg.stream import stream
    from edgeseg.video.sink import open_sink
    from edgeseg.video.source import open_source

    with open_source(source) as frames_in, shown_progress() as progress:
        opened = segmenter_from_options(model, engine, precision, size, device, threads, progress)
        with opened as segmenter, open_sink(sink, frames_in.info) as frames_out:
            report = stream(frames_in, segmenter, frames_out, frames=frames, opacity=opacity, progress=progress)
    print_report(segmenter.artifact, report, sink, as_json=as_json)
    wrote(None if sink in ("null", "window") else Path(sink), f"edgeseg bench {segmenter.artifact.path}")


def print_report(artifact: Artifact, report: StreamReport, sink: str, *, as_json: bool) -> None:
    """What a stream did, with what; what its source lost goes to stderr."""
    from edgeseg.commands.terminal import note, print_json, print_table

    for warning in report.warnings:
        note(f"warning: {warning}")
    if as_json:
        about = {"engine": str(artifact.path), "runtime": artifact.engine, "precision": str(artifact.precision)}
        print_json({**about, "output": sink, **report.to_dict()})
        return
    total = report.latency.get("total")
    row = {
        "engine": artifact.engine,
        "precision": artifact.precision,
        "frames": report.frames,
        "FPS": f"{report.fps:.1f}",
        "p50 ms": f"{total.p50_ms:.1f}" if total else "-",
        "p99 ms": f"{total.p99_ms:.1f}" if total else "-",
        "mIoU": f"{report.miou:.4f}" if report.miou is not None else "-",
    }
    print_table(list(row), [list(row.values())])

"""`edgeseg stream`: a camera, a URL or a file through a model."""

from __future__ import annotations

import contextlib
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
    engine_facts,
    segmenter_from_options,
)

if TYPE_CHECKING:
    from edgeseg.artifact import Artifact
    from edgeseg.streaming import StreamReport
    from edgeseg.video.truth import TruthSink

DEFAULT_OUTPUT = "overlay.mp4"

EXAMPLES = """
  edgeseg stream drive.mp4 bisenetv2-camvid -o overlay.mp4
  edgeseg stream rtsp://camera/stream model.onnx -o masks/ -o results.jsonl
"""


def command(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file, folder, glob, URL, camera:0 or test://street.")
    ],
    model: Model,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="SINK",
            help="A video (out.mp4), label images (masks/), overlays (out/%06d.jpg, images:out/), out.jsonl, window or "
            "null; repeat it for several.",
            show_default="overlay.mp4",
        ),
    ] = None,
    engine: Engine = None,
    precision: PrecisionName = None,
    size: SizeText = None,
    frames: Annotated[int | None, typer.Option("--frames", metavar="N", min=1, help="Stop after N frames.")] = None,
    opacity: Annotated[
        float,
        typer.Option("--opacity", metavar="X", min=0.0, max=1.0, help="How strongly class colours cover the image."),
    ] = 0.5,
    legend: Annotated[
        bool, typer.Option("--legend", help="Show the colours of the classes with their names on overlays.")
    ] = False,
    skip_errors: Annotated[
        bool, typer.Option("--skip-errors", help="Skip images that cannot be read, and count them.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Segment a video, camera or images with MODEL.

    Of a recording every frame is segmented; of a camera the newest one, so that the results do not lag behind. Audio
    is not copied. Ctrl-C stops, and the files written so far are complete.
    """
    from edgeseg.commands.signals import stopped_by_signals
    from edgeseg.commands.terminal import note, shown_progress, wrote
    from edgeseg.streaming import stream
    from edgeseg.video.sink import open_sinks
    from edgeseg.video.source import open_source, opens_last
    from edgeseg.video.truth import truth_sinks

    uris = outputs or [DEFAULT_OUTPUT]
    with contextlib.ExitStack() as opened, shown_progress() as progress:
        frames_in = None
        # A wrong output shows before a model is converted. A camera is opened behind it, or its frames would wait.
        if opens_last(source):
            open_sinks(uris, overwrite=overwrite)
        else:
            frames_in = opened.enter_context(open_source(source, skip_errors=skip_errors))
            open_sinks(uris, frames_in.info, inputs=frames_in.files(), overwrite=overwrite)
        segmenter = segmenter_from_options(model, engine, precision, size, device, threads, progress)
        opened.enter_context(segmenter)
        frames_in = frames_in or opened.enter_context(open_source(source))
        sinks = open_sinks(uris, frames_in.info, inputs=frames_in.files(), overwrite=overwrite)
        for sink in sinks:
            opened.enter_context(sink)
        judges = truth_sinks(frames_in, segmenter.spec.labels)
        with stopped_by_signals() as stop:
            every = [*sinks, *judges]
            report = stream(
                frames_in, segmenter, every, frames=frames, opacity=opacity, legend=legend, stop=stop, progress=progress
            )
            for sink in sinks:
                sink.close()
    print_report(segmenter.artifact, report, uris, judges, device=device, as_json=as_json)
    for sink in sinks:
        for path in sink.files():
            wrote(path)
            for line in sink.notes:
                note(f"note: {line}")
    wrote(None, f"edgeseg bench {segmenter.artifact.path}")


def print_report(
    artifact: Artifact,
    report: StreamReport,
    outputs: list[str],
    judges: list[TruthSink],
    *,
    device: str = "auto",
    as_json: bool,
) -> None:
    """Print what a stream did; losses of its source go to stderr."""
    from edgeseg.commands.terminal import note, print_json, print_table

    for loss in report.losses:
        note(f"warning: {loss.message}")
    if report.dropped:
        note(
            f"dropped {report.dropped} of {report.frames + report.dropped} frames: the model is slower than the source"
        )
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
    print_table(list(row), [list(row.values())])

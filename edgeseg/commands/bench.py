"""`edgeseg bench`: latency and frames a second of a model on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeseg.commands.options import (
    CheckFolder,
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

PICTURES = 8


def command(
    model: Model,
    engine: Engine = None,
    precision: PrecisionName = None,
    size: SizeText = None,
    images: CheckFolder = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Frames that are timed.")] = 200,
    warm_up: Annotated[int, typer.Option("--warm-up", min=0, help="Frames before that.")] = 20,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Time MODEL on images of its input's size: p50, p90, p99 by stage, own CPU time, foreign load.

    Without --images these are synthetic streets for a model that knows their classes, and plain grey for any other.
    """
    from edgeseg.bench.latency import measure_latency
    from edgeseg.check_images import bench_images
    from edgeseg.commands.terminal import note, print_json, print_table, shown_progress, wrote

    with shown_progress() as progress:
        opened = segmenter_from_options(model, engine, precision, size, device, threads, progress)
        with opened as segmenter:
            width, height = segmenter.spec.input.width, segmenter.spec.input.height
            timed = bench_images(segmenter.spec, images, PICTURES)
            result = measure_latency(
                segmenter, list(timed.frames), n=n, warm_up=warm_up, threads=threads, progress=progress
            )
    artifact = segmenter.artifact
    if as_json:
        print_json({**engine_facts(artifact), "images": timed.source, "size": f"{width}x{height}", **result.to_dict()})
        return
    print_table(
        ["stage", "p50 ms", "p90 ms", "p99 ms", "mean ms"],
        [
            [stage, *(f"{value:.2f}" for value in (found.p50_ms, found.p90_ms, found.p99_ms, found.mean_ms))]
            for stage, found in result.latency.items()
        ],
        title=f"{artifact.path.name}, {width}x{height}, n={result.frames} after {warm_up}, on {timed.source}",
    )
    print_table(
        ["FPS", "own CPU ms a frame", "foreign cores", "threads", "CPU"],
        [
            [
                f"{result.fps:.1f}",
                f"{result.cpu_ms:.1f}",
                f"{result.load.foreign_cores:.2f}",
                threads or result.device["threads"],
                result.device["cpu"],
            ]
        ],
    )
    for diagnostic in result.diagnostics:
        note(f"warning: {diagnostic.message} ({diagnostic.hint})")
    wrote(None, f"edgeseg eval {artifact.path} --data URI")

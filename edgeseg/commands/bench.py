"""`edgeseg bench`: latency and frames a second of a model on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
    option,
    segmenter_from_options,
)

if TYPE_CHECKING:
    from edgeseg.bench.latency import Measurement

BENCH_IMAGES = 8
EXAMPLES = """
  edgeseg bench bisenetv2-camvid
  edgeseg bench engines/bisenetv2-camvid.openvino.int8.onnx --threads 4 --json
"""


def command(
    model: Model,
    engine: Engine = None,
    precision: PrecisionName = None,
    size: SizeText = None,
    images: CheckFolder = None,
    n: Annotated[int, option("-n N", "Number of timed images.", min=1)] = 200,
    warm_up: Annotated[int, option("--warm-up N", "Number of images before the timed ones.", min=0)] = 20,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Measure the latency of MODEL on this machine.

    The result has p50, p90 and p99 of each stage, the CPU time per image, and the load by other processes. Without
    --images the images are synthetic streets for a model with their classes, and plain grey for any other.
    """
    from edgeseg.bench.latency import measure_latency
    from edgeseg.check_images import bench_images
    from edgeseg.commands.terminal import note, print_json, shown_progress, wrote

    with shown_progress() as progress:
        opened = segmenter_from_options(model, engine, precision, size, device, threads, progress)
        with opened as segmenter:
            timed = bench_images(segmenter.spec, images, BENCH_IMAGES)
            result = measure_latency(
                segmenter, list(timed.frames), n=n, warm_up=warm_up, threads=threads, progress=progress
            )
    artifact, spec = segmenter.artifact, segmenter.spec.input
    input_size = f"{spec.width}x{spec.height}"
    if as_json:
        print_json({**engine_facts(artifact, device), "images": timed.source, "size": input_size, **result.to_dict()})
        return
    title = f"{artifact.path.name}, {input_size}, n={result.frames} after {warm_up}, on {timed.source}"
    print_latency(result, title, threads)
    for diagnostic in result.diagnostics:
        note(f"warning: {diagnostic.message} ({diagnostic.hint})")
    wrote(None, f"edgeseg eval {artifact.path} --data URI")


def print_latency(result: Measurement, title: str, threads: int | None) -> None:
    """Print a table of the stages and one of the whole run."""
    from edgeseg.commands.terminal import print_table

    stages = [
        [stage, *(f"{value:.2f}" for value in (summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.mean_ms))]
        for stage, summary in result.latency.items()
    ]
    print_table(["stage", "p50 ms", "p90 ms", "p99 ms", "mean ms"], stages, title=title)
    run = {
        "FPS": f"{result.fps:.1f}",
        "CPU ms per frame": f"{result.cpu_ms:.1f}",
        "cores used by others": f"{result.load.foreign_cores:.2f}",
        "threads": threads or result.device["threads"],
        "CPU": result.device["cpu"],
    }
    print_table(list(run), [list(run.values())])

"""`edgeseg demo`: convert, stream and measure in one command."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands.options import Json, option

if TYPE_CHECKING:
    from edgeseg.weights.bundled import BundledModel

EXAMPLES = """
  edgeseg demo
  edgeseg demo drive.mp4 --frames 300
"""


def command(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[SOURCE]", help="A video, folder, URL or camera:0. Default: a synthetic street."),
    ] = None,
    output: Annotated[Path, option("-o --output DIR", "Output folder.")] = Path("demo"),
    frames: Annotated[int | None, option("--frames N", "Stop after N frames.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Convert a bundled model, stream SOURCE through it, and print FPS and latency.

    Your own SOURCE is segmented by the best bundled model that was trained on real images. The synthetic street has
    ground truth, so that mIoU is printed, too; its model was trained on synthetic images only.
    """
    from edgeseg.commands.signals import stopped_by_signals
    from edgeseg.commands.stream_recording import print_report
    from edgeseg.commands.terminal import note, shown_progress, wrote
    from edgeseg.demo import SOURCE, demo_model, run_demo

    model = demo_model(source or SOURCE)
    name = model.spec.name
    note(model_sentence(model))
    with shown_progress() as progress, stopped_by_signals() as stop:
        demo = run_demo(source or SOURCE, name, out=output, frames=frames, stop=stop, progress=progress)
    print_report(demo.artifact, demo.report, [str(demo.video)], demo.judges, as_json=as_json)
    if demo.report.frames:
        wrote(demo.video)
        wrote(demo.sheet)
    if not source:
        wrote(None, "edgeseg demo VIDEO  (your own video)")
    wrote(None, f"edgeseg stream {shlex.quote(source or 'VIDEO')} {name} --legend -o masks/ -o overlay.mp4")
    wrote(None, f"edgeseg bench {demo.artifact.path}")
    wrote(None, "edgeseg adopt MODEL.onnx, then edgeseg convert on what it writes  (your own model)")


def model_sentence(model: BundledModel) -> str:
    """Which model the demo uses, on what it was trained, and its licence, in one sentence."""
    licence = model.spec.licence + (", non-commercial use only" if model.non_commercial else "")
    if model.synthetic:
        data = "trained on synthetic images only and not meant for real streets"
    else:
        data = f"trained on real images ({', '.join(model.trained_on)}), {100 * model.miou_fp32:.1f} % mIoU"
    return f"model: {model.spec.name}, {data} (licence: {licence})"

"""`edgeseg stream`: a camera, a URL, a file or all streams of a run file through a model."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands.options import (
    ENGINES_FOLDER,
    MODEL_HELP,
    Crf,
    Device,
    Engine,
    Json,
    Overlap,
    PrecisionName,
    SizeText,
    Threads,
    TilesName,
    option,
    precision_or_none,
    size_or_none,
)
from edgeseg.engines.triton.address import is_address
from edgeseg.errors import MismatchError

if TYPE_CHECKING:
    from edgeseg.live.run_file import RunConfig
    from edgeseg.segmenter import Segmenter
    from edgeseg.video.source import FrameSource

DEFAULT_OUTPUT = "overlay.mp4"
LIVE = "Live streams"  # panel of the help page
BESIDE_RUN_FILE = ("source", "frames", "skip_errors", "overwrite", "log_json", "fail_fast", "as_json")

EXAMPLES = """
  edgeseg stream drive.mp4 bisenetv2-camvid -o overlay.mp4
  edgeseg stream rtsp://camera/stream model.onnx -o masks/ -o results.jsonl
  edgeseg stream aerial.mp4 model.onnx --tiles hann
  edgeseg stream camera:0 bisenetv2-camvid -o http://127.0.0.1:8080
  edgeseg stream run.toml
"""


def command(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A file, folder, glob, URL, camera:0, test://street, ... or a run.toml."),
    ],
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL_HELP} Not with a run.toml.")] = "",
    outputs: Annotated[
        list[str] | None,
        option(
            "-o --output SINK",
            "A video (out.mp4), label images (masks/), overlays (out/%06d.jpg, images:out/), out.jsonl, a page "
            "(http://127.0.0.1:8080), a server (rtsp://HOST/PATH), window or null; repeat it for several.",
            default="overlay.mp4",
        ),
    ] = None,
    engine: Engine = None,
    precision: PrecisionName = None,
    size: SizeText = None,
    tiles: TilesName = None,
    overlap: Overlap = None,
    crf: Crf = None,
    frames: Annotated[int | None, option("--frames N", "Stop after N frames.", min=1)] = None,
    opacity: Annotated[float, option("--opacity X", "How strongly class colours cover the image.", min=0, max=1)] = 0.5,
    legend: Annotated[
        bool, option("--legend", "Show the colours of the classes with their names on overlays.")
    ] = False,
    skip_errors: Annotated[bool, option("--skip-errors", "Skip images that cannot be read, and count them.")] = False,
    overwrite: Annotated[bool, option("--overwrite", "Replace existing outputs.")] = False,
    max_age: Annotated[float, option("--max-age S", "Drop frames that are older.", LIVE, min=0.05)] = 1.0,
    events: Annotated[
        list[str] | None,
        option("--events URI", "Report events to out.jsonl, a webhook (https://) or mqtt://HOST/TOPIC.", LIVE),
    ] = None,
    log_json: Annotated[bool, option("--log-json", "Print events, notes and progress as JSON lines.", LIVE)] = False,
    fail_fast: Annotated[
        bool, option("--fail-fast", "End with an error where the first connection fails.", LIVE)
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Segment a video, camera or images with MODEL.

    Of a recording every frame is segmented; of a camera the newest one, so that the results do not lag behind. A camera
    or network stream that ends or hangs is connected again, for ever. Videos keep the sound of a file. Ctrl-C stops,
    and the files written so far are complete; a second Ctrl-C ends at once.
    """
    from edgeseg.commands.stream_live import print_live, run_live
    from edgeseg.commands.stream_recording import stream_recording
    from edgeseg.commands.terminal import json_lines
    from edgeseg.live.run import check_run, open_sources
    from edgeseg.spec import tiles_from_options

    if source.endswith(".toml"):
        config = run_file(source, context)
    else:
        config = run_of_one(
            source, model, outputs, engine=engine, precision=precision_or_none(precision), size=size_or_none(size),
            device=device, threads=threads, tiles=tiles_from_options(tiles, overlap), crf=crf, opacity=opacity,
            legend=legend, max_age=max_age, events=tuple(events or ()),
        )  # fmt: skip
    with contextlib.ExitStack() as opened:
        if log_json:
            opened.enter_context(json_lines())
        sources = [opened.enter_context(each) for each in open_sources(config, skip_errors=skip_errors)]
        check_run(config, sources, overwrite=overwrite)
        segmenter = opened.enter_context(segmenter_of(config))
        if is_one_recording(config, sources):
            stream_recording(config, sources[0], segmenter, frames=frames, overwrite=overwrite, as_json=as_json)
            return
        run = run_live(
            config, sources, segmenter, frames=frames, overwrite=overwrite, log_json=log_json, fail_fast=fail_fast
        )
        print_live(segmenter.artifact, config, run, as_json=as_json)


def run_file(path: str, context: typer.Context) -> RunConfig:
    """The run of a run file. MismatchError for options on the command line that belong into the file."""
    from edgeseg.live.run_file import run_from_file

    typed = [param for param in context.command.params if is_typed(context, str(param.name))]
    if refused := [param.opts[-1] for param in typed if param.name not in BESIDE_RUN_FILE]:
        raise MismatchError(
            f"{path} states all of the run, and {', '.join(refused)} would be ignored",
            hint=f"write it into the file; then: edgeseg stream {path}",
            code="ES-MISMATCH-OPTIONS",
        )
    return run_from_file(path)


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether the command line has the parameter, so that its value is no default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def run_of_one(source: str, model: str, outputs: list[str] | None, **options: Any) -> RunConfig:
    """The run of one source. An output that is an http:// address is the page."""
    from edgeseg.live.run_file import RunConfig, StreamEntry

    if not model and not is_address(options.get("engine")):
        hint = "edgeseg stream SOURCE bisenetv2-camvid; see edgeseg stream --help"
        raise MismatchError("the argument MODEL is missing", hint=hint, code="ES-USAGE")
    pages = [uri for uri in outputs or [] if uri.startswith("http://")]
    if len(pages) > 1:
        raise MismatchError("there can be one page", hint="keep one -o http://HOST:PORT", code="ES-MISMATCH-OPTIONS")
    files = tuple(uri for uri in outputs or [DEFAULT_OUTPUT] if uri not in pages)
    return RunConfig(model, (StreamEntry("stream", source, files),), page=pages[0] if pages else None, **options)


def is_one_recording(config: RunConfig, sources: Sequence[FrameSource]) -> bool:
    """Whether there is one stream, a recording, without page and observers."""
    return len(sources) == 1 and sources[0].kind == "recording" and not config.page and not config.events


def segmenter_of(config: RunConfig) -> Segmenter:
    """The opened model of a run."""
    from edgeseg.commands.terminal import note, note_conversion, shown_progress
    from edgeseg.opening import open_model

    with shown_progress() as progress:
        segmenter = open_model(
            config.model, engine=config.engine, precision=config.precision, size=config.size, out=ENGINES_FOLDER,
            device=config.device, threads=config.threads, tiles=config.tiles, crf=config.crf, progress=progress,
            on_convert=note_conversion,
        )  # fmt: skip
    if segmenter.tiles_text:
        note(segmenter.tiles_text)
    return segmenter

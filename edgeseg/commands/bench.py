"""`edgeseg bench`: latency and frames a second of a model on this machine, of the engine alone and end to end."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands.options import (
    AUTO,
    INPUT,
    MODEL_HELP,
    OUTPUT,
    RESULTS_FOLDER,
    CheckFolder,
    Device,
    Engine,
    Json,
    PrecisionName,
    SizeText,
    Threads,
    option,
    segmenter_from_options,
    size_or_none,
)
from edgeseg.engines.triton.address import is_address
from edgeseg.errors import MismatchError

if TYPE_CHECKING:
    from edgeseg.bench.benchmark import BenchOptions
    from edgeseg.bench.matrix import MatrixOutcome
    from edgeseg.bench.record import BenchRecord, Stages

SCENARIO = "Scenario"
FIGURES = ("engine ms", "end to end ms", "CPU ms", "FPS", "mIoU %")
SCOPES = {"engine": "engine alone", "frame": "end to end", "file": "file to file"}
EXAMPLES = """
  edgeseg bench bisenetv2-camvid
  edgeseg bench engines/model.openvino.int8.onnx --threads 4 -o record.json
  edgeseg bench bisenetv2-camvid --data 'camvid:CamVid?split=test'
  edgeseg bench bisenetv2-camvid --frame-size 1920x1080
  edgeseg bench bisenetv2-camvid --scenario camera --rate 30
  edgeseg bench --matrix benchmarks/matrix.toml
"""


def command(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=MODEL_HELP)] = None,
    engine: Engine = None,
    precision: PrecisionName = None,
    size: SizeText = None,
    images: CheckFolder = None,
    frame_size: Annotated[
        str | None, option("--frame-size WIDTHxHEIGHT", "Size of synthetic images.", INPUT, "the model's input")
    ] = None,
    scenario: Annotated[
        str, option("--scenario NAME", "single-stream, offline, camera or multi-stream.", SCENARIO)
    ] = "single-stream",
    rate: Annotated[
        float | None, option("--rate FPS", "Images a second of each camera.", SCENARIO, "30; multi-stream 15", min=0.01)
    ] = None,
    streams: Annotated[int | None, option("--streams N", "Cameras of multi-stream.", SCENARIO, "4", min=1)] = None,
    file: Annotated[
        bool, option("--file", "Also measure from video file to overlay file, stage by stage.", SCENARIO)
    ] = False,
    video: Annotated[
        str | None, option("--video FILE", "The video of --file, and the images.", SCENARIO, "one made of the images")
    ] = None,
    loadgen: Annotated[
        bool, option("--loadgen", "Also measure with MLPerf's LoadGen (pip install mlcommons-loadgen).", SCENARIO)
    ] = False,
    n: Annotated[
        int | None, option("-n N", "Number of timed images.", SCENARIO, "as many as take 3 s, 100 at least", min=1)
    ] = None,
    warm_up: Annotated[
        int | None,
        option("--warm-up N", "Images before the timed ones.", SCENARIO, "until the latency stops falling", min=0),
    ] = None,
    data: Annotated[
        str | None, option("--data URI", "Labelled images: the record also has the mIoU of this engine.")
    ] = None,
    device: Device = AUTO,
    threads: Threads = None,
    output: Annotated[
        Path | None, option("-o --output FILE", "Write the record; of --matrix, the folder of all records.", OUTPUT)
    ] = None,
    matrix: Annotated[Path | None, option("--matrix FILE", "Run all cases of a TOML file.", OUTPUT)] = None,
    again: Annotated[bool, option("--again", "With --matrix: measure settled records again.", OUTPUT)] = False,
    as_json: Json = False,
) -> None:
    """Measure the latency of MODEL on this machine.

    The record has p50, p90 and p99 of the engine alone and end to end, from frame in memory to prediction in memory,
    the CPU time per image, and what makes the figures doubtful. A run that does not settle is repeated once in a fresh
    process, and is inconclusive if that does not settle either. Without --images or --video the images are synthetic
    streets for a model with their classes, and plain grey for any other, of the size of its input or --frame-size.
    """
    from edgeseg.bench.benchmark import BenchOptions, check_options
    from edgeseg.bench.record import command_from_words
    from edgeseg.commands.bench_request import BenchRequest
    from edgeseg.commands.terminal import note, print_json, shown_progress, wrote

    options = BenchOptions(scenario, n, warm_up, rate, streams, file, video or "", loadgen, threads=threads)
    if matrix is not None:
        others = {"MODEL": model, "--engine": engine, "--precision": precision, "--size": size, "--images": images,
                  "--frame-size": frame_size, "--data": data,
                  "--device": device if device != AUTO else None}  # fmt: skip
        check_matrix_alone(matrix, others, options)
        run_matrix_file(matrix, output or RESULTS_FOLDER, again, as_json)
        return
    if model is None and not is_address(engine):
        hint = "edgeseg bench MODEL; edgeseg models lists the names"
        raise MismatchError("the argument MODEL is missing", hint=hint, code="ES-USAGE")
    check_options(options)
    check_frame_size(frame_size, images or video)
    request = BenchRequest(options, device, images, frame_size, data)
    with shown_progress() as progress:
        with segmenter_from_options(model or "", engine, precision, size, device, threads, progress) as segmenter:
            record = request.measured(segmenter, progress)
        if request.is_repeated(record, segmenter.artifact):
            note("the latency has not settled: once more, in a fresh process")
            record = request.measured_again(record, segmenter.artifact)
    record = dataclasses.replace(record, command=command_from_words(sys.argv[1:]))
    if output is not None:
        record.write(output)
    if as_json:
        print_json(record.to_dict())
    else:
        print_record(record)
    wrote(output, "" if data else f"edgeseg eval {shlex.quote(segmenter.artifact.location)} --data URI")


def check_matrix_alone(matrix: Path, others: Mapping[str, str | None], options: BenchOptions) -> None:
    """MismatchError where what the file of a matrix states is typed, too. others: spelling -> value."""
    from edgeseg.bench.benchmark import BenchOptions

    typed = [spelling for spelling, value in others.items() if value is not None]
    changed = [name for name, value in vars(BenchOptions()).items() if getattr(options, name) != value]
    typed += ["-n" if name == "n" else f"--{name.replace('_', '-')}" for name in changed]
    if typed:
        message = f"--matrix excludes {', '.join(typed)}: the file says what is measured"
        hint = f"state it in the file, and type edgeseg bench --matrix {matrix}"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")


def check_frame_size(frame_size: str | None, images: str | None) -> None:
    """SizeError for a text that is no size; MismatchError where `images` have their own."""
    if size_or_none(frame_size) is not None and images is not None:
        message = f"--frame-size is for synthetic images, and those of {images} have a size"
        raise MismatchError(message, hint="leave --frame-size out", code="ES-MISMATCH-OPTIONS")


def run_matrix_file(matrix: Path, folder: Path, again: bool, as_json: bool) -> None:
    """Run all cases, and print a table of them. Exit code 1 where a case failed."""
    from edgeseg.bench.matrix import MatrixCase, matrix_from_file, run_matrix
    from edgeseg.bench.matrix_images import write_images
    from edgeseg.commands.terminal import note, print_json, print_table, shown_progress, wrote

    whole = matrix_from_file(matrix)
    cases = whole.cases
    outcomes: list[MatrixOutcome] = []

    def on_begin(number: int, case: MatrixCase, seconds_left: float | None, reason: str) -> None:
        left = f", about {max(1, round(seconds_left / 60))} min left" if seconds_left is not None else ""
        note(f"{number + 1} of {len(cases)}: {case.name}{left}{f', measured again: {reason}' if reason else ''}")

    with shown_progress() as progress:
        for outcome in run_matrix(cases, folder, again=again, on_begin=on_begin):
            outcomes.append(outcome)
            if outcome.error:
                note(f"{outcome.case.name} failed: {outcome.error}")
            progress("matrix", len(outcomes), len(cases))
        for path, problem in write_images(outcomes) if whole.differences else ():
            note(f"{path.name} failed: {problem}" if problem else f"wrote {path}")
    if as_json:
        print_json(
            [
                {"case": each.case.name, "record": str(each.path), "error": each.error,
                 "status": each.record.status if each.record else "failed"}
                for each in outcomes
            ]
        )  # fmt: skip
    else:
        columns = ["model", "size", "engine", "precision", "scenario", *FIGURES, "status"]
        print_table(columns, [matrix_row(each) for each in outcomes])
    wrote(outcomes[0].path.parent if outcomes else None, f"edgeseg report {folder}")
    if any(each.error for each in outcomes):
        raise typer.Exit(1)


def matrix_row(outcome: MatrixOutcome) -> list[str]:
    """The figures of a case; none where it did not settle."""
    case, record = outcome.case, outcome.record
    cells = [Path(case.model).stem, case.size, case.engine, case.precision, case.scenario]
    engine, frame = (record.row("engine"), record.row("frame")) if record else (None, None)
    if record is None or record.status != "settled" or engine is None or frame is None:
        return [*cells, *["-"] * len(FIGURES), record.status if record else "failed"]
    miou = f"{100 * record.accuracy.miou:.2f}" if record.accuracy else "-"
    figures = [engine.latency.p50_ms, frame.latency.p50_ms, frame.cpu_ms, frame.fps]
    return [*cells, *(f"{figure:.1f}" for figure in figures), miou, record.status]


def print_record(record: BenchRecord) -> None:
    """Print a row for each scope, the stages, and what the run was made of."""
    from edgeseg.commands.terminal import note, print_row, print_table

    model, conditions = record.model, record.conditions
    title = f"{model.file}, {model.width}x{model.height}, {conditions.scenario}, on {conditions.images}"
    extras = list(dict.fromkeys(key for row in record.rows for key in row.extra))
    columns = ["", "n", "p50 ms", "p90 ms", "p99 ms", "FPS", "CPU ms", *(key.replace("_", " ") for key in extras)]
    rows = []
    for row in record.rows:
        each = row.latency
        figures = [each.p50_ms, each.p90_ms, each.p99_ms, row.fps, row.cpu_ms]
        more = [f"{row.extra[key]:.1f}" if key in row.extra else "-" for key in extras]
        rows.append([SCOPES[row.scope], str(each.n), *(f"{figure:.2f}" for figure in figures), *more])
    print_table(columns, rows, title=title)
    if record.stages is not None:
        print_stages(record.stages, record.overlapped)
    if record.accuracy is not None:
        accuracy = record.accuracy
        print_table(["data", "images", "mIoU %"], [[accuracy.data, accuracy.images, f"{100 * accuracy.miou:.2f}"]])
    resources = record.resources
    run = {
        "status": record.status,
        "precision": model.precision,
        "threads": conditions.threads,
        "cores used by others": f"{record.load.foreign_cores:.2f}",
        "RSS MiB": f"{resources.rss_mib:.0f}",
        "device": record.device["cpu"] if conditions.device == "cpu" else conditions.device,
    }
    if resources.joules_per_frame is not None:
        run["J/frame"] = f"{resources.joules_per_frame:.3f}"
    print_row(run)
    for diagnostic in record.diagnostics:
        note(f"warning: {diagnostic.message} ({diagnostic.hint})")


def print_stages(serial: Stages, overlapped: Stages | None) -> None:
    """Print the stages, and beside them the same as `stream` overlaps them."""
    from edgeseg.commands.terminal import print_table

    runs = [serial, *([overlapped] if overlapped else [])]
    rows = [
        [name, *(f"{each.latency[name].mean_ms:.2f}" if name in each.latency else "-" for each in runs)]
        for name in serial.latency
    ]
    rows.append(["sum", *(f"{each.sum_ms:.2f}" for each in runs)])
    rows.append(["frame period", *(f"{each.period_ms:.2f}" for each in runs)])
    print_table(["stage, mean ms", "one after another", *(["overlapped"] if overlapped else [])], rows)

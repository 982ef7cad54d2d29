"""`edgeseg convert`: a model to an engine, in one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands import build_options as build_flags
from edgeseg.commands.config_file import Config
from edgeseg.commands.options import (
    AUTO,
    ENGINE,
    ENGINES_FOLDER,
    OUTPUT,
    PRECISION,
    TILES,
    UNTYPED,
    CalibrationFolder,
    Color,
    Device,
    Folder,
    Json,
    Labels,
    Limit,
    MaskOutput,
    Mean,
    Overlap,
    Overwrite,
    Ranges,
    SizeText,
    Std,
    engine_facts,
    option,
    precision_or_none,
    size_or_none,
    statistics_from_options,
)
from edgeseg.errors import MismatchError
from edgeseg.metrics.least_labels import LEAST_LABELS

if TYPE_CHECKING:
    from edgeseg.autotune.autotune import Decision
    from edgeseg.autotune.budget import Budget
    from edgeseg.autotune.candidate import Candidate
    from edgeseg.autotune.choice import Auto
    from edgeseg.conversion import Conversion
    from edgeseg.recipe import Recipe
    from edgeseg.spec import ModelSpec, Precision, Tiles


EXAMPLES = """
  edgeseg convert bisenetv2-camvid
  edgeseg convert model.onnx --images frames/ --precision int8
  edgeseg convert bisenetv2-street --tiles 1024x512 --overlap 128
  edgeseg convert model.onnx --engine tensorrt --config convert.toml
"""
Engine = Annotated[
    str | None,
    option(
        "--engine NAME",
        "tensorrt, tensorrt_rtx, openvino, onnxruntime or pytorch; auto: the fastest of those that run here.",
        ENGINE,
        "the first that runs here",
    ),
]


def command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A bundled name (edgeseg models), a file, or a recipe (.toml).")
    ],
    engine: Engine = None,
    precision: Annotated[
        str | None,
        option(
            "--precision NAME",
            "fp32, fp16, bf16 or int8; auto: a longer search.",
            PRECISION,
            "int8 where a short measurement finds it faster and as accurate",
        ),
    ] = None,
    data: Annotated[
        str | None, option("--data URI", "Labelled images to measure mIoU on; not those of the calibration.", PRECISION)
    ] = None,
    max_drop: Annotated[
        float,
        option(
            "--max-drop POINTS",
            "With --data: the mIoU that may be lost for speed, in percentage points.",
            PRECISION,
            min=0,
            max=100,
        ),
    ] = 0.5,
    min_agreement: Annotated[
        float,
        option(
            "--min-agreement SHARE",
            "Without --data: the smallest share of pixels that keep the label of the float engine.",
            PRECISION,
            min=0,
            max=1,
        ),
    ] = LEAST_LABELS["int8 by choice"],
    minutes: Annotated[
        float, option("--minutes MINUTES", "With --precision auto: time limit of the search.", PRECISION, min=0)
    ] = 10.0,
    images: CalibrationFolder = None,
    ranges: Ranges = None,
    limit: Limit = 100,
    size: SizeText = None,
    tiles: Annotated[
        str | None,
        option("--tiles WIDTHxHEIGHT", "Input size, to cut larger frames into tiles of it, not to resize them.", TILES),
    ] = None,
    overlap: Overlap = None,
    device: Device = "auto",
    labels: Labels = None,
    mean: Mean = UNTYPED,
    std: Std = UNTYPED,
    color: Color = None,
    mask: MaskOutput = False,
    force: Annotated[bool, option("--force", "Accept int8 however many labels it changes.", PRECISION)] = False,
    name: Annotated[
        str | None, option("--name TEXT", "Name of the files, without an ending.", OUTPUT, "the model's")
    ] = None,
    overwrite: Overwrite = False,
    batch: build_flags.Batch = None,
    workspace: build_flags.Workspace = None,
    level: build_flags.Level = None,
    dla: build_flags.Dla = None,
    timing_cache: build_flags.TimingCache = None,
    portable: build_flags.Portable = False,
    any_gpu: build_flags.AnyGpu = False,
    gpu: build_flags.Gpu = None,
    output: Folder = ENGINES_FOLDER,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Convert MODEL to an engine.

    The steps are: export to ONNX, calibrate, quantize, build, check against the float model.
    """
    from edgeseg.autotune.budget import Budget
    from edgeseg.commands.terminal import shown_progress
    from edgeseg.conversion import convert
    from edgeseg.recipe import Recipe, recipe_from_file
    from edgeseg.spec import Output

    recipe = recipe_from_file(model) if model.endswith(".toml") else Recipe(model)
    options = build_flags.build_options(batch, workspace, level, device, dla, timing_cache, portable, any_gpu, gpu)
    with shown_progress() as progress:
        made = convert(
            recipe.model,
            engine=engine or recipe.engine,
            precision=choice_from_options(recipe, precision, data, Budget(max_drop / 100, min_agreement, minutes)),
            images=images,
            ranges=ranges,
            limit=limit,
            size=size_or_none(tiles or size) or recipe.size,
            output=Output.MASK if mask else Output.LOGITS,
            tiles=tiles_of_convert(tiles, overlap, size, mask=mask),
            labels=labels,
            statistics=statistics_from_options(mean, std, color),
            options=options,
            out=output,
            name=name,
            force=force,
            overwrite=overwrite,
            progress=progress,
        )
    show(made, model, device, as_json=as_json)


def tiles_of_convert(tiles: str | None, overlap: int | None, size: str | None, *, mask: bool) -> Tiles | None:
    """How the engine cuts larger frames; None where it resizes them. MismatchError for options without --tiles."""
    from edgeseg.spec import Tiles

    if tiles is not None and size is not None:
        message, hint = "--tiles and --size both give the input size", f"leave out --size {size}"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")
    if tiles is None and overlap is not None:
        message, hint = "an overlap is of tiles, and there are none", "add --tiles WIDTHxHEIGHT, or leave out --overlap"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")
    return None if tiles is None else Tiles(overlap, "centre" if mask else "hann")


def choice_from_options(recipe: Recipe, precision: str | None, data: str | None, budget: Budget) -> Precision | Auto:
    """The precision that is named, or how to measure one. MismatchError for --data beside a named one."""
    from edgeseg.autotune.choice import Auto

    if precision is not None and precision.lower() == AUTO:
        return Auto(budget, data)
    named = precision_or_none(precision) or recipe.precision
    if named is None:
        return Auto(budget, data, short=True)
    if data is not None:
        message = f"--data chooses the precision by measurement, and --precision {named} names one"
        hint = "leave --precision out, or write --precision auto"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")
    return named


def show(made: Conversion, model: str, device: str, *, as_json: bool) -> None:
    """Print the engine, and the next command."""
    from edgeseg.commands.terminal import note, print_json, wrote

    artifact, parity = made.engine, made.export
    if origin := made.onnx.provenance.origin:
        note(f"checkpoint: {origin}, {input_line(artifact.spec)}; edgeseg export {model} prints the details")
    if parity is not None:
        note(
            f"export: the largest logit difference from torch is {parity.logit_difference:.1e}, "
            f"{100 * parity.agreement:.3f} % of the labels are equal"
        )
    if as_json:
        print_json({**engine_facts(made.engine, device), **facts_of(made)})
    else:
        print_conversion(made)
    if artifact.spec.input.tiles is not None:
        own = artifact.spec.input
        note(f"stream, eval and edgeseg.open cut frames larger than {own.width}x{own.height} into tiles")
    if artifact.spec.licence.startswith("CC-BY-NC") or "non-commercial" in artifact.spec.licence:
        note(f"note: these weights are {artifact.spec.licence}: not for commercial use")
    wrote(made.onnx.path)
    wrote(made.plot)
    run = f"edgeseg stream SOURCE {artifact.path} -o overlay.mp4"
    wrote(
        artifact.path, run if artifact.agreement.is_of_engine else f"edgeseg inspect {artifact.path} --html page.html"
    )


def facts_of(made: Conversion) -> dict[str, Any]:
    """What --json prints beside the engine."""
    from edgeseg.artifact import count_precisions

    artifact = made.engine
    return {
        "onnx": str(made.onnx.path),
        "ranges": str(made.ranges) if made.ranges else None,
        "agreement": artifact.agreement.to_dict(),
        "layers": count_precisions(artifact.layers),
        "licence": artifact.spec.licence,
        "summary": made.summary or None,
        "decision": dict(artifact.decision) or None,
        "plot": str(made.plot) if made.plot else None,
    }


def print_conversion(made: Conversion) -> None:
    """Print the table of the engine, and the decision on its precision."""
    from edgeseg.artifact import count_precisions
    from edgeseg.commands.terminal import agreement_cells, print_table

    artifact = made.engine
    if made.decision is not None and made.decision.is_plotted:
        print_decision(made.decision)
    layers = ", ".join(f"{count} {name}" for name, count in count_precisions(artifact.layers).items())
    cells = [artifact.engine, artifact.precision, layers, *agreement_cells(artifact.agreement), artifact.spec.licence]
    print_table(["engine", "precision", "layers", "labels as fp32, %", "compared on", "licence"], [cells])
    if made.summary:
        print(made.summary)


def print_decision(decision: Decision) -> None:
    """All candidates, the fastest last."""
    from edgeseg.commands.terminal import print_table

    print(evaluation_text(decision))
    print_table(
        ["candidate", "p50 ms", "own CPU ms", "latency to float", "accuracy (95%)", "within", "float blocks"],
        [row_from_candidate(each) for each in decision.candidate_set.candidates],
    )


def evaluation_text(decision: Decision) -> str:
    """The images that the candidates were evaluated on."""
    on = decision.conditions["evaluated_on"]
    by = "mIoU against the labels" if on["labelled"] else "no labels: agreement with the float engine decides"
    return f"evaluated on {on['images']} images of {on['source']} ({by})"


def row_from_candidate(candidate: Candidate) -> list[str]:
    """One line of the table; dashes where nothing was measured."""
    timing, cost, ratio = candidate.timing, candidate.cost, candidate.ratio
    times = [f"{timing.latency.p50_ms:.2f}", f"{timing.cpu_ms:.2f}"] if timing else ["-", "-"]
    held = f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else "-"
    accuracy = f"{cost.text()} ({cost.interval()})" if cost else candidate.problem
    blocks = ", ".join(block.name for block in candidate.blocks) or "-"
    return [candidate.name, *times, held, accuracy, "yes" if candidate.is_within else "no", blocks]


def input_line(spec: ModelSpec) -> str:
    """How a checkpoint's images are preprocessed, for comparison with the training code."""
    model_input, corners = spec.input, str(spec.align_corners).lower()
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (model_input.mean, model_input.std))
    size = f"{model_input.width}x{model_input.height}"
    return f"{len(spec.labels)} classes, {size} {model_input.color}, mean {mean}, std {std}, align_corners {corners}"

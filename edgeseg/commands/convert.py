"""`edgeseg convert`: a model to an engine, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands import build_options as wish
from edgeseg.commands.options import (
    AUTO,
    ENGINES_FOLDER,
    UNTYPED,
    Color,
    Device,
    Folder,
    Json,
    Limit,
    Mean,
    Model,
    Overwrite,
    SizeText,
    Std,
    precision_from_text,
    size_or_none,
    statistics_from_options,
)
from edgeseg.errors import MismatchError

if TYPE_CHECKING:
    from edgeseg.autotune.autotune import Decision
    from edgeseg.autotune.budget import Budget
    from edgeseg.autotune.candidate import Candidate
    from edgeseg.autotune.choice import Auto
    from edgeseg.conversion import Conversion
    from edgeseg.recipe import Recipe
    from edgeseg.spec import ModelSpec, Precision


Engine = Annotated[
    str | None,
    typer.Option(
        "--engine", help="tensorrt, tensorrt_rtx, openvino, onnxruntime or pytorch; auto: the fastest of those here."
    ),
]


def command(
    model: Model,
    engine: Engine = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            help="fp32, fp16, bf16 or int8; auto: search longer. Default: int8 where a short race finds that it pays.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="URI", help="Labelled images to measure mIoU on, not those of the calibration."),
    ] = None,
    max_drop: Annotated[
        float, typer.Option("--max-drop", min=0, max=100, help="Points of mIoU that speed may cost, with --data.")
    ] = 0.5,
    min_agreement: Annotated[
        float, typer.Option("--min-agreement", min=0, max=1, help="Share of the float labels to keep, without --data.")
    ] = 0.99,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0, help="With --precision auto: the time limit of the search.")
    ] = 10.0,
    images: Annotated[
        str | None,
        typer.Option(
            "--images", metavar="DIR", help="Images to calibrate and to check on: a folder, a glob or a data set's URI."
        ),
    ] = None,
    ranges: Annotated[Path | None, typer.Option("--ranges", metavar="FILE", help="A range table made before.")] = None,
    limit: Limit = 100,
    size: SizeText = None,
    device: Device = "auto",
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="Names of a checkpoint's classes, one a line.")
    ] = None,
    mean: Mean = UNTYPED,
    std: Std = UNTYPED,
    color: Color = None,
    mask: Annotated[bool, typer.Option("--mask", help="Put upsampling and argmax into the graph.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Take int8 however many labels it changes.")] = False,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What the files are called; default: as the model.")
    ] = None,
    overwrite: Overwrite = False,
    batch: wish.Batch = None,
    workspace: wish.Workspace = None,
    level: wish.Level = None,
    dla: wish.Dla = None,
    timing_cache: wish.TimingCache = None,
    portable: wish.Portable = False,
    any_gpu: wish.AnyGpu = False,
    gpu: wish.Gpu = None,
    output: Folder = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Convert MODEL to an engine: export, calibrate, quantise, build, check. MODEL may be a recipe (.toml) too."""
    from edgeseg.autotune.budget import Budget
    from edgeseg.commands.terminal import shown_progress
    from edgeseg.conversion import convert
    from edgeseg.recipe import Recipe, recipe_from_file
    from edgeseg.spec import Output

    recipe = recipe_from_file(model) if model.endswith(".toml") else Recipe(model)
    options = wish.build_options(batch, workspace, level, device, dla, timing_cache, portable, any_gpu, gpu)
    with shown_progress() as progress:
        made = convert(
            recipe.model,
            engine=engine or recipe.engine,
            precision=choice_from_options(recipe, precision, data, Budget(max_drop / 100, min_agreement, minutes)),
            images=images,
            ranges=ranges,
            limit=limit,
            size=size_or_none(size) or recipe.size,
            output=Output.MASK if mask else Output.LOGITS,
            labels=labels,
            statistics=statistics_from_options(mean, std, color),
            options=options,
            out=output,
            name=name,
            force=force,
            overwrite=overwrite,
            progress=progress,
        )
    show(made, model, as_json=as_json)


def choice_from_options(recipe: Recipe, precision: str | None, data: str | None, budget: Budget) -> Precision | Auto:
    """The precision that is named, or how to measure one. MismatchError for --data beside a named one."""
    from edgeseg.autotune.choice import Auto

    if precision is not None and precision.lower() == AUTO:
        return Auto(budget, data)
    named = precision_from_text(precision) or recipe.precision
    if named is None:
        return Auto(budget, data, short=True)
    if data is not None:
        message = f"--data chooses the precision by measurement, and --precision {named} names one"
        hint = "leave --precision out, or write --precision auto"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")
    return named


def show(made: Conversion, model: str, *, as_json: bool) -> None:
    """What was made, and what to type next."""
    from edgeseg.commands.terminal import note, print_json, wrote

    artifact, parity = made.engine, made.export
    if origin := made.onnx.provenance.origin:
        note(f"adopted: {origin}, {input_line(artifact.spec)}; edgeseg export {model} shows all of it")
    if parity is not None:
        note(
            f"export: largest logit difference from torch {parity.logit_difference:.1e}, "
            f"labels as torch {100 * parity.agreement:.3f} %"
        )
    if as_json:
        print_json(facts_of(made))
    else:
        print_conversion(made)
    if artifact.spec.licence.startswith("CC-BY-NC") or "non-commercial" in artifact.spec.licence:
        note(f"note: these weights are {artifact.spec.licence}: not for commercial use")
    wrote(made.onnx.path)
    wrote(made.plot)
    run = f"edgeseg stream SOURCE {artifact.path} -o overlay.mp4"
    wrote(
        artifact.path, run if artifact.agreement.is_of_engine else f"edgeseg inspect {artifact.path} --html page.html"
    )


def facts_of(made: Conversion) -> dict[str, Any]:
    """Plain data for --json."""
    from edgeseg.artifact import count_precisions

    artifact = made.engine
    return {
        "engine": str(artifact.path),
        "precision": str(artifact.precision),
        "runtime": artifact.engine,
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
    """What was made, for a person."""
    from edgeseg.artifact import count_precisions
    from edgeseg.commands.terminal import agreement_cells, print_table

    artifact = made.engine
    if made.decision is not None and made.decision.is_plotted:
        print_decision(made.decision)
    layers = ", ".join(f"{count} {name}" for name, count in count_precisions(artifact.layers).items())
    cells = [artifact.engine, artifact.precision, layers, *agreement_cells(artifact.agreement), artifact.spec.licence]
    print_table(["engine", "precision", "layers obtained", "labels as float, %", "compared on", "licence"], [cells])
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
    """How a checkpoint's pictures are made ready: what a user compares with the training code."""
    given, corners = spec.input, str(spec.align_corners).lower()
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (given.mean, given.std))
    size = f"{given.width}x{given.height}"
    return f"{len(spec.labels)} classes, {size} {given.color}, mean {mean}, std {std}, align_corners {corners}"

"""`edgeseg convert`: a model to an engine, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands import build_options as wish
from edgeseg.commands.options import (
    AUTO,
    ENGINES_FOLDER,
    UNTYPED,
    Color,
    Device,
    Engine,
    Folder,
    Json,
    Limit,
    Mean,
    Model,
    SizeText,
    Std,
    precision_from_text,
    size_or_none,
    statistics_from_options,
)
from edgeseg.errors import MismatchError

if TYPE_CHECKING:
    from edgeseg.conversion import Auto
    from edgeseg.decide.candidate import Candidate
    from edgeseg.decide.decide import Decision
    from edgeseg.spec import ModelSpec, Precision


def command(
    model: Model,
    engine: Engine = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            help="fp32, fp16, bf16 or int8, or auto: measure which pays. int8 where there are ranges unless given.",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="URI", help="auto: labelled pictures to judge on, of another place.")
    ] = None,
    max_drop: Annotated[
        float, typer.Option("--max-drop", min=0, max=100, help="auto: points of mIoU that speed may cost.")
    ] = 0.5,
    min_agreement: Annotated[
        float, typer.Option("--min-agreement", min=0, max=1, help="auto, without --data: share of the float labels.")
    ] = 0.99,
    minutes: Annotated[float, typer.Option("--minutes", min=0, help="auto: after that nothing more is tried.")] = 10.0,
    images: Annotated[
        str | None, typer.Option("--images", metavar="DIR", help="Images to calibrate on, or a data set's URI.")
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
    batch: wish.Batch = None,
    sizes: wish.Sizes = None,
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
    from edgeseg.artifact import count_precisions
    from edgeseg.commands.terminal import note, print_json, print_table, shown_progress, wrote
    from edgeseg.conversion import Auto, convert
    from edgeseg.decide.budget import Budget
    from edgeseg.recipe import Recipe, recipe_from_file
    from edgeseg.spec import Output

    recipe = recipe_from_file(model) if model.endswith(".toml") else Recipe(model)
    wanted: Precision | Auto | None = recipe.precision
    if precision is not None and precision.lower() == AUTO:
        wanted = Auto(Budget(max_drop / 100, min_agreement, minutes), data)
    elif data is not None:
        raise MismatchError("--data is for --precision auto", hint="add --precision auto, or leave --data out")
    elif precision is not None:
        wanted = precision_from_text(precision)
    options = wish.build_options(batch, sizes, workspace, level, device, dla, timing_cache, portable, any_gpu, gpu)
    with shown_progress() as progress:
        made = convert(
            recipe.model,
            engine=engine or recipe.engine,
            precision=wanted,
            images=images,
            ranges=ranges,
            limit=limit,
            size=size_or_none(size) or recipe.size,
            output=Output.MASK if mask else Output.LOGITS,
            labels=labels,
            statistics=statistics_from_options(mean, std, color),
            options=options,
            out=output,
            progress=progress,
        )
    artifact, parity = made.engine, made.export
    if origin := made.onnx.provenance.get("origin"):
        note(f"adopted: {origin}, {input_line(artifact.spec)}; edgeseg export {model} shows all of it")
    if parity is not None:
        note(
            f"export: largest logit difference from torch {parity.logit_difference:.1e}, "
            f"labels as torch {parity.agreement:.5f}"
        )
    if as_json:
        print_json(
            {
                "engine": str(artifact.path),
                "precision": str(artifact.precision),
                "runtime": artifact.engine,
                "onnx": str(made.onnx.path),
                "ranges": str(made.ranges) if made.ranges else None,
                "agreement": artifact.agreement,
                "layers": count_precisions(artifact.layers),
                "licence": artifact.spec.licence,
                "decision": dict(artifact.decision) or None,
                "plot": str(made.plot) if made.plot else None,
            }
        )
    else:
        if made.decision is not None:
            print_decision(made.decision)
        layers = ", ".join(f"{count} {name}" for name, count in count_precisions(artifact.layers).items())
        labels = artifact.agreement.get("labels")
        print_table(
            ["engine", "precision", "layers obtained", "labels as float", "licence"],
            [[artifact.engine, artifact.precision, layers, f"{labels:.4f}" if labels else "-", artifact.spec.licence]],
        )
    if artifact.spec.licence.startswith("CC-BY-NC") or "non-commercial" in artifact.spec.licence:
        note(f"note: these weights are {artifact.spec.licence}: not for commercial use")
    wrote(made.onnx.path)
    wrote(made.plot)
    elsewhere = "judged" in artifact.agreement  # what is built here cannot run here
    run = f"edgeseg stream SOURCE {artifact.path} -o overlay.mp4"
    wrote(artifact.path, f"edgeseg inspect {artifact.path} --html page.html" if elsewhere else run)


def print_decision(decision: Decision) -> None:
    """All candidates, the fastest last, and the verdict."""
    from edgeseg.commands.terminal import print_table

    print(judged_text(decision))
    print_table(
        ["candidate", "p50 ms", "own CPU ms", "latency to float", "accuracy (95%)", "within", "float blocks"],
        [row_from_candidate(each) for each in decision.field.candidates],
    )
    print(decision.verdict)


def judged_text(decision: Decision) -> str:
    """What the candidates were judged on."""
    on = decision.judged["judged_on"]
    by = "mIoU against the labels" if on["labelled"] else "no labels: agreement with the float engine decides"
    return f"judged on {on['pictures']} pictures of {on['source']} ({by})"


def row_from_candidate(candidate: Candidate) -> list[str]:
    """One line of the table; dashes where nothing was measured."""
    lap, cost, ratio = candidate.lap, candidate.cost, candidate.ratio
    times = [f"{lap.latency.p50_ms:.2f}", f"{lap.cpu_ms:.2f}"] if lap else ["-", "-"]
    held = f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else "-"
    accuracy = f"{cost.text()} ({cost.doubt()})" if cost else candidate.problem
    blocks = ", ".join(block.name for block in candidate.blocks) or "-"
    return [candidate.name, *times, held, accuracy, "yes" if candidate.is_within else "no", blocks]


def input_line(spec: ModelSpec) -> str:
    """How a checkpoint's pictures are made ready: what a user compares with the training code."""
    given, corners = spec.input, str(spec.align_corners).lower()
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (given.mean, given.std))
    size = f"{given.width}x{given.height}"
    return f"{len(spec.labels)} classes, {size} {given.color}, mean {mean}, std {std}, align_corners {corners}"

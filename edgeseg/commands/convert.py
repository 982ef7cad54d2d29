"""`edgeseg convert`: a model to an engine, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands.options import (
    ENGINES_FOLDER,
    Engine,
    Folder,
    Json,
    Limit,
    Model,
    PrecisionName,
    SizeText,
    precision_from_text,
    size_or_none,
)

if TYPE_CHECKING:
    from edgeseg.spec import ModelSpec


def command(
    model: Model,
    engine: Engine = None,
    precision: PrecisionName = None,
    images: Annotated[
        str | None, typer.Option("--images", metavar="DIR", help="Images to calibrate on, or a data set's URI.")
    ] = None,
    ranges: Annotated[Path | None, typer.Option("--ranges", metavar="FILE", help="A range table made before.")] = None,
    limit: Limit = 100,
    size: SizeText = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="Names of a checkpoint's classes, one a line.")
    ] = None,
    mask: Annotated[bool, typer.Option("--mask", help="Put upsampling and argmax into the graph.")] = False,
    output: Folder = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Convert MODEL to an engine: export, calibrate, quantise, build, check. MODEL may be a recipe (.toml) too."""
    from edgeseg.artifact import count_precisions
    from edgeseg.commands.terminal import note, print_json, print_table, shown_progress, wrote
    from edgeseg.conversion import convert
    from edgeseg.recipe import Recipe, recipe_from_file
    from edgeseg.spec import Output

    recipe = recipe_from_file(model) if model.endswith(".toml") else Recipe(model)
    with shown_progress() as progress:
        made = convert(
            recipe.model,
            engine=engine or recipe.engine,
            precision=precision_from_text(precision) or recipe.precision,
            images=images,
            ranges=ranges,
            limit=limit,
            size=size_or_none(size) or recipe.size,
            output=Output.MASK if mask else Output.LOGITS,
            labels=labels,
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
            }
        )
    else:
        layers = ", ".join(f"{count} {name}" for name, count in count_precisions(artifact.layers).items())
        labels = artifact.agreement.get("labels")
        print_table(
            ["engine", "precision", "layers obtained", "labels as float", "licence"],
            [[artifact.engine, artifact.precision, layers, f"{labels:.4f}" if labels else "-", artifact.spec.licence]],
        )
    if artifact.spec.licence.startswith("CC-BY-NC") or "non-commercial" in artifact.spec.licence:
        note(f"note: these weights are {artifact.spec.licence}: not for commercial use")
    wrote(made.onnx.path)
    wrote(artifact.path, f"edgeseg stream SOURCE {artifact.path} -o overlay.mp4")


def input_line(spec: ModelSpec) -> str:
    """How a checkpoint's pictures are made ready: what a user compares with the training code."""
    given, corners = spec.input, str(spec.align_corners).lower()
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (given.mean, given.std))
    size = f"{given.width}x{given.height}"
    return f"{len(spec.labels)} classes, {size} {given.color}, mean {mean}, std {std}, align_corners {corners}"

"""`edgeseg export`: a model to a deploy ONNX, or to the repository of a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands.options import (
    ENGINES_FOLDER,
    OUTPUT,
    UNTYPED,
    CheckFolder,
    Color,
    Json,
    Labels,
    MaskOutput,
    Mean,
    SizeText,
    Std,
    option,
    size_or_none,
    statistics_from_options,
)
from edgeseg.engines.triton.options import ServeOptions
from edgeseg.errors import MismatchError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeseg.artifact import Artifact
    from edgeseg.export.parity import Parity
    from edgeseg.export.statistics import Statistics

EXAMPLES = """
  edgeseg export bisenetv2-camvid --size 512x256
  edgeseg export checkpoint.pth --labels classes.txt
  edgeseg export bisenetv2-camvid --to triton -o repository/
"""
FORMATS = ("onnx", "triton")
TRITON = "Triton"  # panel of the help page


def command(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A bundled name, a weights file, a checkpoint (.pth, .safetensors) or a Hugging Face folder; for "
            "triton also an ONNX or an engine.",
        ),
    ] = None,
    weights: Annotated[Path | None, option("--weights FILE", "The same as MODEL.")] = None,
    labels: Labels = None,
    mean: Mean = UNTYPED,
    std: Std = UNTYPED,
    color: Color = None,
    size: SizeText = None,
    images: CheckFolder = None,
    mask: MaskOutput = False,
    to: Annotated[
        str, option("--to NAME", "onnx, or triton: a model repository for a Triton server.", OUTPUT)
    ] = "onnx",
    output: Annotated[
        Path | None,
        option("-o --output DIR", "Folder for the results.", OUTPUT, "engines; repository with --to triton"),
    ] = None,
    backend: Annotated[
        str,
        option(
            "--backend NAME", "onnxruntime, openvino or tensorrt_plan.", TRITON, "of MODEL's engine, or onnxruntime"
        ),
    ] = "",
    batch: Annotated[
        int | None,
        option("--batch N", "Compute up to N images at once.", TRITON, "8; openvino 1", min=1),
    ] = None,
    instances: Annotated[int, option("--instances N", "Compute N batches at a time.", TRITON, min=1)] = 1,
    name: Annotated[str, option("--name NAME", "The model's name on the server.", TRITON, "of the file")] = "",
    dali: Annotated[
        bool, option("--dali", "Add an ensemble that takes JPEG files, decoded by DALI on the server.", TRITON)
    ] = False,
    as_json: Json = False,
) -> None:
    """Export MODEL to an ONNX, and check it against torch; or to a model repository for a Triton server.

    The ONNX takes uint8 frames and carries its classes, input size and normalisation. A checkpoint of another training
    code is recognised by its keys and shapes; the command prints what it recognised.
    """
    chosen, statistics = only_model(model, weights), statistics_from_options(mean, std, color)
    serve = ServeOptions(backend, batch, instances, name, dali)
    if is_for_triton(to, serve):
        from edgeseg.commands.export_triton import export_repository

        inputs = {"size": size_or_none(size), "labels": labels, "statistics": statistics, "images": images}
        export_repository(chosen, output, serve, inputs, as_json=as_json)
        return
    export_onnx(chosen, size_or_none(size), labels, statistics, images, mask, output or ENGINES_FOLDER, as_json)


def is_for_triton(to: str, options: ServeOptions) -> bool:
    """Whether --to is triton. UnknownNameError for another name, MismatchError for options of triton without it."""
    if to not in FORMATS:
        raise UnknownNameError.among("format", to, FORMATS)
    if to != "triton" and options != ServeOptions():
        message = "--backend, --batch, --instances, --name and --dali are for a Triton server"
        raise MismatchError(message, hint="add --to triton", code="ES-MISMATCH-OPTIONS")
    return to == "triton"


def export_onnx(
    chosen: str | Path,
    input_size: tuple[int, int] | None,
    labels: Path | None,
    statistics: Statistics,
    images: str | None,
    mask: bool,
    output: Path,
    as_json: bool,
) -> None:
    """Write the ONNX, and print what was recognised and compared."""
    from edgeseg.artifact import model_stem
    from edgeseg.check_images import check_images
    from edgeseg.commands.terminal import note, print_table
    from edgeseg.export import check_exporter
    from edgeseg.spec import Output
    from edgeseg.weights import weights_path

    weights_path(chosen)
    check_exporter()
    from edgeseg.export.adoption import shown
    from edgeseg.export.model import export_model, source_from_model

    source = source_from_model(chosen, input_size, labels, statistics)
    if source.adoption and not as_json:
        print_table(["checkpoint", source.path.name], shown(source.adoption))
    kind = Output.MASK if mask else Output.LOGITS
    path = output / f"{model_stem(source.spec.name, input_size, kind)}.onnx"
    checked = check_images(source.spec, images)
    artifact, parity = export_model(source, path, frames=list(checked.frames), output=kind)
    if checked.advice:
        note(f"note: {checked.advice}")
    adopted = source.adoption.facts() if source.adoption else None
    print_export(artifact, parity, checked.source, adopted, as_json)


def only_model(model: str | None, weights: Path | None) -> str | Path:
    """The model that is named. MismatchError for two, UnknownNameError for none."""
    from edgeseg.weights import BUNDLED

    if weights and model:
        message = f"two models are named: {model} and {weights}"
        raise MismatchError(message, hint="leave out --weights or MODEL", code="ES-MISMATCH-OPTIONS")
    if weights is None and model is None:
        raise UnknownNameError("no model is named", hint=f"edgeseg export {BUNDLED[0]}")
    return weights or model or ""


def print_export(
    artifact: Artifact, parity: Parity, images: str, adopted: Mapping[str, Any] | None, as_json: bool
) -> None:
    """Print how the ONNX compares with torch on `images`, and the next command."""
    from edgeseg.commands.terminal import print_json, print_row, wrote

    spec = artifact.spec
    if as_json:
        print_json(
            {
                "onnx": str(artifact.path),
                "frames": parity.frames,
                "images": images,
                "logit_difference": parity.logit_difference,
                "agreement": parity.agreement,
                "licence": spec.licence,
                "adopted": adopted,
            }
        )
    else:
        row = {
            "model": spec.name,
            "input": f"{spec.input.width}x{spec.input.height}",
            "compared on": f"{parity.frames}: {images}",
            "largest logit difference": f"{parity.logit_difference:.1e}",
            "labels as torch, %": f"{100 * parity.agreement:.3f}",
        }
        print_row(row)
    wrote(artifact.path, f"edgeseg calibrate {artifact.path} --images DIR")

"""`edgeseg export`: a model to a deploy ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands.options import (
    ENGINES_FOLDER,
    UNTYPED,
    CheckFolder,
    Color,
    Folder,
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeseg.artifact import Artifact
    from edgeseg.export.parity import Parity

EXAMPLES = """
  edgeseg export bisenetv2-camvid --size 512x256
  edgeseg export checkpoint.pth --labels classes.txt
"""


def command(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A bundled name, a weights file, a checkpoint (.pth, .safetensors) or a Hugging Face folder.",
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
    output: Folder = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Export MODEL to an ONNX, and check it against torch.

    The ONNX takes uint8 frames and carries its classes, input size and normalisation. A checkpoint of another training
    code is recognised by its keys and shapes; the command prints what it recognised.
    """
    from edgeseg.artifact import model_stem
    from edgeseg.check_images import check_images
    from edgeseg.commands.terminal import note, print_table
    from edgeseg.export import check_exporter
    from edgeseg.spec import Output
    from edgeseg.weights import weights_path

    chosen = only_model(model, weights)
    weights_path(chosen)
    check_exporter()
    from edgeseg.export.adoption import shown
    from edgeseg.export.model import export_model, source_from_model

    input_size = size_or_none(size)
    source = source_from_model(chosen, input_size, labels, statistics_from_options(mean, std, color))
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
    from edgeseg.errors import MismatchError, UnknownNameError
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
    from edgeseg.commands.terminal import print_json, print_table, wrote

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
        print_table(list(row), [list(row.values())])
    wrote(artifact.path, f"edgeseg calibrate {artifact.path} --images DIR")

"""`edgeseg export`: a model to a deploy ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.commands.options import (
    ENGINES_FOLDER,
    UNTYPED,
    CheckFolder,
    Color,
    Folder,
    Json,
    Mean,
    SizeText,
    Std,
    size_or_none,
    statistics_from_options,
)

Named = typer.Argument(
    metavar="[MODEL]",
    help="A bundled name, a weights file, a checkpoint (.pth, .safetensors) or a Hugging Face folder.",
)


def command(
    model: Annotated[str | None, Named] = None,
    weights: Annotated[Path | None, typer.Option("--weights", metavar="FILE", help="The same as MODEL.")] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="Names of a checkpoint's classes, one a line.")
    ] = None,
    mean: Mean = UNTYPED,
    std: Std = UNTYPED,
    color: Color = None,
    size: SizeText = None,
    images: CheckFolder = None,
    mask: Annotated[bool, typer.Option("--mask", help="Put upsampling and argmax into the graph.")] = False,
    output: Folder = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Export MODEL to an ONNX that takes uint8 frames and carries its spec, and hold it against torch.

    A checkpoint of another training code is recognised by its keys and shapes; what was recognised is printed.
    """
    from edgeseg.artifact import model_stem
    from edgeseg.check_images import check_images
    from edgeseg.commands.terminal import note, print_json, print_table, wrote
    from edgeseg.errors import MismatchError, UnknownNameError
    from edgeseg.export import check_exporter
    from edgeseg.spec import Output
    from edgeseg.weights import BUNDLED, weights_path

    if weights and model:
        message = f"two models are named: {model} and {weights}"
        raise MismatchError(message, hint="leave out --weights or MODEL", code="ES-MISMATCH-OPTIONS")
    chosen = weights or model
    if chosen is None:
        raise UnknownNameError("no model is named", hint=f"edgeseg export {BUNDLED[0]}")
    weights_path(chosen)
    check_exporter()
    from edgeseg.export.adoption import shown
    from edgeseg.export.model import export_model, source_from_model

    wanted = size_or_none(size)
    source = source_from_model(chosen, wanted, labels, statistics_from_options(mean, std, color))
    spec, adoption = source.spec, source.adoption
    if adoption and not as_json:
        print_table(["checkpoint", source.path.name], shown(adoption))
    kind = Output.MASK if mask else Output.LOGITS
    path = output / f"{model_stem(spec.name, wanted, kind)}.onnx"
    checked = check_images(spec, images)
    artifact, parity = export_model(source, path, frames=list(checked.frames), output=kind)
    if checked.advice:
        note(f"note: {checked.advice}")
    if as_json:
        print_json(
            {
                "onnx": str(artifact.path),
                "frames": parity.frames,
                "images": checked.source,
                "logit_difference": parity.logit_difference,
                "agreement": parity.agreement,
                "licence": spec.licence,
                "adopted": adoption.facts() if adoption else None,
            }
        )
    else:
        print_table(
            ["model", "input", "compared on", "largest logit difference", "labels as torch, %"],
            [
                [
                    spec.name,
                    f"{spec.input.width}x{spec.input.height}",
                    f"{parity.frames}: {checked.source}",
                    f"{parity.logit_difference:.1e}",
                    f"{100 * parity.agreement:.3f}",
                ]
            ],
        )
    wrote(artifact.path, f"edgeseg calibrate {artifact.path} --images DIR")

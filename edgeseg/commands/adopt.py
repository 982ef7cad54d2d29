"""`edgeseg adopt`: turn a segmentation ONNX from elsewhere into a deploy ONNX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands.options import (
    ENGINES_FOLDER,
    INPUT,
    OUTPUT,
    UNTYPED,
    Json,
    Numbers,
    option,
    size_or_none,
    three_or_none,
)

if TYPE_CHECKING:
    from edgeseg.graph.adopt.adopt import Adoption
    from edgeseg.spec import LabelSet

MODEL = "Model"
NOISE_WARNING = "one class everywhere, but on noise, which proves little: check on your own images with --images DIR"

EXAMPLES = """
  edgeseg adopt model.onnx --input rgb --normalize imagenet
  edgeseg adopt model.onnx --labels classes.txt --images frames/
"""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A segmentation ONNX of any training code.")],
    color: Annotated[str | None, option("--input rgb|bgr", "Colour order of its input.", INPUT, "rgb")] = None,
    mean: Annotated[
        Numbers,
        option("--mean R G B", "Input mean, for pixels of 0..1 or 0..255, in the order of --input.", INPUT, False),
    ] = UNTYPED,
    std: Annotated[Numbers, option("--std R G B", "Input standard deviation, as --mean.", INPUT, False)] = UNTYPED,
    normalize: Annotated[
        str | None,
        option("--normalize NAME", "imagenet, unit, minus1to1 or none, in place of --mean and --std.", INPUT),
    ] = None,
    labels: Annotated[
        Path | None, option("--labels FILE", "Class names, one per line, each with an optional colour.", MODEL)
    ] = None,
    outputs: Annotated[
        list[str] | None, option("--output NAME", "The output to keep; several of one class each are joined.", MODEL)
    ] = None,
    size: Annotated[
        str | None, option("--size WIDTHxHEIGHT", "Input size, needed where the file leaves it free.", INPUT)
    ] = None,
    layout: Annotated[str | None, option("--layout nchw|nhwc", "Axis order of its input.", INPUT)] = None,
    align_corners: Annotated[
        bool, option("--align-corners", "Upsample the logits with aligned corners.", MODEL)
    ] = False,
    name: Annotated[str, option("--name TEXT", "Name of the model.", MODEL, "that of FILE")] = "",
    licence: Annotated[str, option("--licence SPDX", "Licence of the weights.", MODEL)] = "unknown",
    images: Annotated[
        str | None, option("--images DIR", "Images to check the result on.", OUTPUT, "synthetic images")
    ] = None,
    folder: Annotated[Path, option("-o DIR", "Folder for the result.", OUTPUT)] = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Turn a segmentation ONNX from elsewhere into one for edgeseg.

    The result takes uint8 frames, carries its classes, input size and normalisation, and is checked against FILE. The
    command prints what it recognised, and why.
    """
    from edgeseg.commands.terminal import note, print_json, print_table, wrote
    from edgeseg.graph.adopt.adopt import adopt_onnx
    from edgeseg.graph.adopt.request import AdoptionRequest
    from edgeseg.labels import labels_from_file, unnamed_labels

    request = AdoptionRequest(
        color=color.lower() if color else None,
        normalize=normalize.lower() if normalize else None,
        mean=three_or_none("--mean", mean),
        std=three_or_none("--std", std),
        size=size_or_none(size),
        layout=layout.lower() if layout else None,
        outputs=tuple(outputs or ()),
        labels=labels_from_file(labels) if labels else None,
        align_corners=align_corners,
        name=name,
        licence=licence,
    )
    checked = CheckFrames(images, request.labels)
    made = adopt_onnx(file, request, folder, frames=checked)
    warning = NOISE_WARNING if made.warning and checked.are_noise else made.warning
    if as_json:
        print_json({**described(made), "warning": warning or None})
    else:
        rows = [[fact.what, fact.value, fact.reason] for fact in made.properties]
        print_table(["what", "value", "reason"], [*rows, ["agreement", *agreement_text(made)]])
    if warning:
        note(f"warning: {warning}")
    classes = made.artifact.spec.labels
    if classes.names == unnamed_labels(len(classes)).names:
        note(
            f"note: the {len(classes)} classes have no names: add --labels FILE with one name per line, in their order"
        )
    path = made.artifact.path
    wrote(path, f"edgeseg convert {path} --images DIR")


class CheckFrames:
    """Frames of a given size: of `images`, of a synthetic street for its classes, or noise."""

    def __init__(self, images: str | None, labels: LabelSet | None) -> None:
        self.images, self.labels, self.are_noise = images, labels, False

    def __call__(self, width: int, height: int) -> Sequence[Any]:
        """A few frames (height, width, 3)."""
        from edgeseg.check_images import check_images
        from edgeseg.labels import unnamed_labels
        from edgeseg.spec import InputSpec, ModelSpec

        spec = ModelSpec("", InputSpec(width=width, height=height), self.labels or unnamed_labels(2))
        images = check_images(spec, self.images)
        self.are_noise = images.is_noise
        return list(images.frames)


def agreement_text(made: Adoption) -> tuple[str, str]:
    """How the result compares with its source, and on which images."""
    agreement = made.agreement
    difference = agreement.logit_difference
    logits = "" if math.isnan(difference) else f", logits within {difference:.0e}"
    return f"labels {100 * agreement.labels:.2f} %{logits}", f"{agreement.frames} frames, compared with the original"


def described(made: Adoption) -> dict[str, Any]:
    """The result as plain data."""
    from dataclasses import asdict

    return {
        "onnx": str(made.artifact.path),
        "output": str(made.artifact.output),
        "spec": made.artifact.spec.to_dict(),
        "provenance": made.artifact.provenance.to_dict(),
        "facts": [asdict(fact) for fact in made.properties],
        "agreement": asdict(made.agreement),
    }

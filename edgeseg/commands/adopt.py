"""`edgeseg adopt`: a segmentation ONNX from elsewhere to a deploy ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.commands.options import ENGINES_FOLDER, UNTYPED, Json, Numbers, size_or_none, three_or_none

if TYPE_CHECKING:
    from edgeseg.graph.adopt.adopt import Adoption
    from edgeseg.spec import LabelSet

NOISE_WARNING = "one class everywhere, but on noise, which says little: check on images of your own with --images DIR"


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A segmentation ONNX of any origin.")],
    color: Annotated[str | None, typer.Option("--input", metavar="rgb|bgr", help="Its colour order.")] = None,
    mean: Annotated[
        Numbers, typer.Option("--mean", metavar="R G B", help="For 0..1 or 0..255, in the order of --input.")
    ] = UNTYPED,
    std: Annotated[
        Numbers, typer.Option("--std", metavar="R G B", help="For 0..1 or 0..255, in the order of --input.")
    ] = UNTYPED,
    normalize: Annotated[
        str | None, typer.Option("--normalize", help="imagenet, unit, minus1to1 or none, in place of --mean and --std.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="One class name a line, a colour behind it or not.")
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option("--output", metavar="NAME", help="The head to keep; several of one class each are joined."),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="WIDTHxHEIGHT", help="Input size, where the file leaves it free.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option("--layout", metavar="nchw|nhwc", help="Order of its input's axes.")
    ] = None,
    align_corners: Annotated[
        bool, typer.Option("--align-corners", help="Logits are enlarged corner on corner.")
    ] = False,
    name: Annotated[str, typer.Option("--name", help="Of the model; that of FILE unless given.")] = "",
    licence: Annotated[str, typer.Option("--licence", metavar="SPDX", help="Of its weights.")] = "unknown",
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="DIR",
            help="Images to check it on; unless given a synthetic street for its classes, or noise.",
        ),
    ] = None,
    folder: Annotated[Path, typer.Option("-o", metavar="DIR", help="Where the result is written.")] = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Adopt the segmentation ONNX in FILE: a deploy graph with its spec, held against the original."""
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
        note(f"note: the {len(classes)} classes have no names: add --labels FILE, with one name a line, in their order")
    path = made.artifact.path
    wrote(path, f"edgeseg convert {path} --images DIR --precision int8")


class CheckFrames:
    """Gives frames at the size that is asked for: of `images`, of a synthetic street for its classes, or noise."""

    def __init__(self, images: str | None, labels: LabelSet | None) -> None:
        self.images, self.labels, self.are_noise = images, labels, False

    def __call__(self, width: int, height: int) -> Sequence[Any]:
        """A few frames (height, width, 3)."""
        from edgeseg.check_images import check_images
        from edgeseg.labels import unnamed_labels
        from edgeseg.spec import InputSpec, ModelSpec

        spec = ModelSpec("", InputSpec(width=width, height=height), self.labels or unnamed_labels(2))
        found = check_images(spec, self.images)
        self.are_noise = found.is_noise
        return list(found.frames)


def agreement_text(made: Adoption) -> tuple[str, str]:
    """How the result compares with its source, and on what."""
    found = made.agreement
    logits = "" if found.logit_difference != found.logit_difference else f", logits to {found.logit_difference:.0e}"
    return f"labels {found.labels:.4f}{logits}", f"{found.frames} frames through the original, by hand"


def described(made: Adoption) -> dict[str, Any]:
    """What was made, as plain data."""
    from dataclasses import asdict

    return {
        "onnx": str(made.artifact.path),
        "output": str(made.artifact.output),
        "spec": made.artifact.spec.to_dict(),
        "provenance": made.artifact.provenance.to_dict(),
        "facts": [asdict(fact) for fact in made.properties],
        "agreement": asdict(made.agreement),
    }

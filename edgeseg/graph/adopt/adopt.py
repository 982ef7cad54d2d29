"""A segmentation ONNX from elsewhere in, a deploy ONNX with its spec out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common as passes

from edgeseg.artifact import Artifact, write_onnx
from edgeseg.errors import FormatError
from edgeseg.files import writable_folder
from edgeseg.graph.adopt.check import Agreement, agreement_with_source
from edgeseg.graph.adopt.frames import attach_frames
from edgeseg.graph.adopt.heads import check_joinable, chosen_outputs, head_of, labels_of
from edgeseg.graph.adopt.modern import OPSET, folded_from_source
from edgeseg.graph.adopt.normalise import input_spec_of
from edgeseg.graph.adopt.original import outputs_by_hand
from edgeseg.graph.adopt.picture import picture_of
from edgeseg.graph.adopt.request import AdoptionRequest, Fact
from edgeseg.graph.adopt.source import Source, open_source
from edgeseg.graph.adopt.tail import Tail, attach_tail
from edgeseg.provenance import Provenance
from edgeseg.spec import ModelSpec, Output

Frames = Callable[[int, int], Sequence[NDArray[np.uint8]]]


@dataclass(frozen=True)
class Adoption:
    """What was made of the file, what was found out about it, and how the two compare."""

    artifact: Artifact
    facts: tuple[Fact, ...]
    agreement: Agreement

    @property
    def warning(self) -> str:
        """Why the result may be wrong although it equals its source; "" where nothing hints at that."""
        if len(self.agreement.seen) > 1:
            return ""
        names, only = self.artifact.spec.labels.names, self.agreement.seen[0]
        name = names[only] if only < len(names) else f"id {only}"
        return (
            f"every pixel of {self.agreement.frames} frames is {name}: a wrong normalisation or colour order is the "
            "commonest cause; check on pictures of your own with --images DIR"
        )


def adopt_onnx(path: str | Path, wishes: AdoptionRequest, folder: Path, *, frames: Frames) -> Adoption:
    """Write `<name>.onnx` into `folder`: the ONNX at `path` as a deploy graph.

    frames: gives rgb pictures of a width and a height, on which the result is held against its source.
    FormatError, with the option to type, where something is open; AgreementError where the two differ. Then nothing
    is written.
    """
    source = open_source(path)
    names = chosen_outputs(source, wishes)
    picture = picture_of(source, wishes)
    input_spec, input_facts = input_spec_of(picture, wishes, source.path.name)
    pictures = frames(picture.width, picture.height)
    outputs = outputs_by_hand(source, picture, input_spec, names, pictures)
    model = folded_from_source(source, picture, names)
    arrays = list(zip(*outputs))
    values = list(model.graph.outputs)
    heads = [head_of(name, values[i], arrays[i], picture, wishes) for i, name in enumerate(names)]
    check_joinable(heads)
    labels, label_facts = labels_of(heads, wishes, source.path.name)
    tail = attach_tail(model, heads, picture)
    align_corners = wishes.align_corners if tail.align_corners is None else tail.align_corners
    name = wishes.name or source.path.stem
    spec = ModelSpec(name, input_spec, labels, align_corners=align_corners, licence=wishes.licence)
    tidy(attach_frames(model, picture, input_spec))
    agreement = agreement_with_source(model, spec, tail, heads, pictures, outputs)
    artifact = written(model, spec, tail.output, source, folder)
    facts = [*picture.facts(wishes), *input_facts, *(head.fact() for head in heads), *label_facts]
    return Adoption(artifact, (*facts, *tail_facts(tail, wishes), *opset_facts(source)), agreement)


def tidy(model: ir.Model) -> ir.Model:
    """Drop what nobody reads any more, in place, and give every value its type."""
    passes.RemoveUnusedNodesPass()(model)
    passes.ShapeInferencePass()(model)
    return model


def written(model: ir.Model, spec: ModelSpec, output: Output, source: Source, folder: Path) -> Artifact:
    """The deploy graph as a file. FormatError where that would overwrite its source."""
    path = writable_folder(folder) / f"{spec.name}.onnx"
    if path.resolve() == source.path.resolve():
        raise FormatError(f"the result would overwrite {path}", hint="add --name NAME, or another folder with -o DIR")
    provenance = Provenance(source=source.path.name, source_sha256=source.sha256)
    artifact = Artifact(path, spec, output=output, provenance=provenance)
    write_onnx(ir.to_proto(model), artifact)
    return artifact


def tail_facts(tail: Tail, wishes: AdoptionRequest) -> list[Fact]:
    """What was done with the end of the graph, and why."""
    left_out = list(dict.fromkeys(op for ops in tail.left_out for op in ops))
    facts = [Fact("left out", ", ".join(left_out), "labels stay the same without")] if left_out else []
    if len(tail.left_out) > 1:
        facts.append(Fact("joined", f"{len(tail.left_out)} heads", "told: --output; the strongest head wins"))
    if tail.output is Output.MASK:
        return facts
    if tail.align_corners is not None:
        return [*facts, Fact("align_corners", str(tail.align_corners).lower(), "the Resize that was left out")]
    reason = "told: --align-corners" if wishes.align_corners else "not told; --align-corners changes it"
    return [*facts, Fact("align_corners", str(wishes.align_corners).lower(), reason)]


def opset_facts(source: Source) -> list[Fact]:
    """That an old graph was brought to today's operators."""
    return [Fact("opset", f"{source.opset} to {OPSET}", "it was older")] if source.opset < OPSET else []

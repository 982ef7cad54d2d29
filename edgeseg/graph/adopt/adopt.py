"""Adopt a segmentation ONNX from elsewhere: write it as a deploy ONNX with its spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common as passes

from edgeseg.artifact import Artifact, write_onnx
from edgeseg.errors import EdgeSegError, FormatError
from edgeseg.files import writable_folder
from edgeseg.graph.adopt.attach import DeployOutput, attach_input, attach_output
from edgeseg.graph.adopt.check import Agreement, compare_with_source, run_source
from edgeseg.graph.adopt.heads import check_joinable, chosen_outputs, labels_of, read_head
from edgeseg.graph.adopt.network_input import image_input, read_input
from edgeseg.graph.adopt.normalise import check_complete, input_spec_of
from edgeseg.graph.adopt.request import AdoptionRequest, Property
from edgeseg.graph.adopt.simplify import OPSET, simplified_from_source
from edgeseg.graph.adopt.source import Source, open_source
from edgeseg.provenance import Provenance
from edgeseg.spec import ModelSpec, Output

OPEN = ("ES-OUTPUT", "ES-UNSTATED")  # the codes of what an option would settle
Frames = Callable[[int, int], Sequence[NDArray[np.uint8]]]


@dataclass(frozen=True)
class Adoption:
    """The adopted model, the properties it was adopted with, and its agreement with the source."""

    artifact: Artifact
    properties: tuple[Property, ...]
    agreement: Agreement

    @property
    def warning(self) -> str:
        """Why the result may be wrong although it equals its source; "" if nothing indicates that."""
        if len(self.agreement.classes) > 1:
            return ""
        names, only = self.artifact.spec.labels.names, self.agreement.classes[0]
        name = names[only] if only < len(names) else f"id {only}"
        return (
            f"every pixel of {self.agreement.frames} frames is {name}: the usual cause is a wrong normalisation or "
            "colour order; check on your own images with --images DIR"
        )


def adopt_onnx(path: str | Path, request: AdoptionRequest, folder: Path, *, frames: Frames) -> Adoption:
    """Write the ONNX at `path` as the deploy graph `<name>.onnx` in `folder`.

    frames: gives rgb images of a width and a height, on which the result is compared with its source.
    FormatError with the option to add if a property is unknown; AgreementError if the two differ. In both cases no
    file is written.
    """
    source = open_source(path)
    check_stated(source, request)
    names = chosen_outputs(source, request)
    network_input = read_input(source, request)
    input_spec, input_properties = input_spec_of(network_input, request, source.path.name)
    images = frames(network_input.width, network_input.height)
    outputs = run_source(source, network_input, input_spec, names, images)
    model = simplified_from_source(source, network_input, names)
    arrays = list(zip(*outputs))
    values = list(model.graph.outputs)
    heads = [read_head(name, values[i], arrays[i], network_input, request) for i, name in enumerate(names)]
    check_joinable(heads)
    labels, label_properties = labels_of(heads, request, source.path.name)
    output = attach_output(model, heads, network_input)
    align_corners = request.align_corners if output.align_corners is None else output.align_corners
    name = request.name or source.path.stem
    spec = ModelSpec(name, input_spec, labels, align_corners=align_corners, licence=request.licence)
    attach_input(model, network_input, input_spec)
    passes.RemoveUnusedNodesPass()(model)
    passes.ShapeInferencePass()(model)
    agreement = compare_with_source(model, spec, output, heads, images, outputs)
    artifact = write_adopted(model, spec, output.kind, source, folder)
    properties = [*network_input.properties(request), *input_properties, *(head.property() for head in heads)]
    properties += [*label_properties, *output_properties(output, request)]
    if source.opset < OPSET:
        properties.append(Property("opset", f"{source.opset} to {OPSET}", "it was older"))
    return Adoption(artifact, tuple(properties), agreement)


def check_stated(source: Source, request: AdoptionRequest) -> None:
    """One FormatError for all that neither the file nor the user states, with all options to add."""
    dtype = image_input(source)[1]
    checks = (
        lambda: chosen_outputs(source, request),
        lambda: read_input(source, request),
        lambda: check_complete(dtype, request, source.path.name),
    )
    problems = []
    for check in checks:
        try:
            check()
        except EdgeSegError as problem:
            if problem.code not in OPEN:
                raise
            problems.append(problem)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        message, hint = ("; ".join(texts) for texts in zip(*((each.message, each.hint) for each in problems)))
        raise FormatError(message, hint=hint, code="ES-UNSTATED")


def write_adopted(model: ir.Model, spec: ModelSpec, output: Output, source: Source, folder: Path) -> Artifact:
    """Write the deploy graph. FormatError if that would overwrite its source."""
    path = writable_folder(folder) / f"{spec.name}.onnx"
    if path.resolve() == source.path.resolve():
        message = f"the result would overwrite {path}"
        raise FormatError(message, hint="add --name NAME, or another folder with -o DIR", code="ES-FILE-SAME")
    provenance = Provenance(source=source.path.name, source_sha256=source.sha256)
    artifact = Artifact(path, spec, output=output, provenance=provenance)
    write_onnx(ir.to_proto(model), artifact)
    return artifact


def output_properties(output: DeployOutput, request: AdoptionRequest) -> list[Property]:
    """What was changed at the end of the graph, and why."""
    properties = []
    if removed := dict.fromkeys(op for ops in output.removed_ops for op in ops):
        properties.append(Property("removed", ", ".join(removed), "it does not change the labels"))
    if len(output.removed_ops) > 1:
        reason = "stated with --output; the head with the highest logit wins"
        properties.append(Property("joined", f"{len(output.removed_ops)} heads", reason))
    if output.kind is Output.LOGITS:
        value, reason = request.align_corners, "default; change it with --align-corners"
        if output.align_corners is not None:
            value, reason = output.align_corners, "the removed Resize"
        elif request.align_corners:
            reason = "stated with --align-corners"
        properties.append(Property("align_corners", str(value).lower(), reason))
    return properties

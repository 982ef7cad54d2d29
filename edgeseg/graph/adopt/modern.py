"""An old graph in today's operators, at one size, with its constant parts computed.

ONNX Runtime's basic optimisations do the last: they stay within the standard operators, compute what depends on
constants and shapes alone, and fold batch norms into the convolutions before them, where INT8 wants them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
from onnx_ir.passes import common as passes

from edgeseg.errors import FormatError
from edgeseg.graph.adopt.branches import normalise_branches
from edgeseg.graph.adopt.picture import Picture
from edgeseg.graph.adopt.source import STANDARD, Source, first_line, standard_opset
from edgeseg.sessions import open_session

OPSET = 17  # what the passes need, and the last that TensorRT 8.6 reads
IR_VERSION = 8
HALF_PIXEL_OPSET = 11  # the first with a Resize that has a coordinate mode; before, all of them were asymmetric
# It would put reshapes around each product of a transformer.
LEFT_OUT = ["MatMulAddFusion"]
RESERVED = ("rgb", "logits", "mask")
RESERVED_STARTS = ("frame", "mask", "heads", "source/")
MOVES = {"Cast", "Constant", "Identity", "Squeeze", "Transpose", "Unsqueeze"}


def folded_from_source(source: Source, picture: Picture, outputs: Sequence[str]) -> ir.Model:
    """The part of `source` that `outputs` need, in opset 17 or newer, for one picture of one size."""
    proto = modern_from_source(source)
    fix_shapes(proto.graph, picture, outputs)
    model = ir.from_proto(folded(proto, source.path.name))
    if normalise_branches(model):
        model = ir.from_proto(folded(ir.to_proto(model), source.path.name))
    passes.RemoveUnusedNodesPass()(model)
    if all(node.op_type in MOVES for node in model.graph):
        raise FormatError(f"{source.path.name} computes nothing of its picture", hint="export the trained network")
    passes.ClearMetadataAndDocStringPass()(model)
    for domain in [domain for domain in model.graph.opset_imports if domain not in STANDARD]:
        del model.graph.opset_imports[domain]
    rename(model)
    model.graph.name, model.producer_name, model.producer_version = "edgeseg", "edgeseg", None
    passes.ShapeInferencePass()(model)
    return model


def modern_from_source(source: Source) -> Any:
    """A copy of the file's `onnx.ModelProto` in opset 17 or newer; no weight is listed as an input."""
    import onnx
    import onnx.version_converter

    proto = onnx.ModelProto()
    proto.CopyFrom(source.proto)
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in constants]
    del proto.graph.input[:], proto.graph.value_info[:], proto.metadata_props[:]
    proto.graph.input.extend(inputs)
    proto.ir_version = max(proto.ir_version, IR_VERSION)
    if source.opset >= OPSET:
        return proto
    try:
        proto = onnx.version_converter.convert_version(proto, OPSET)
    except Exception as problem:  # the converter has a class of its own, and lets those of C++ through
        reason = first_line(problem)
        message = f"{source.path.name} cannot be brought from opset {source.opset} to {OPSET}: {reason}"
        raise FormatError(message, hint=f"export it again, with opset {OPSET} or newer") from problem
    if source.opset < HALF_PIXEL_OPSET:
        mend_resizes(proto.graph)
    assert standard_opset(proto) == OPSET
    return proto


def mend_resizes(graph: Any) -> None:
    """Give each Resize the coordinates that Upsample and the first Resize had: the converter leaves them out."""
    from onnx import helper

    for node in graph.node:
        told = {attribute.name for attribute in node.attribute}
        if node.op_type == "Resize" and "coordinate_transformation_mode" not in told:
            node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
            node.attribute.append(helper.make_attribute("nearest_mode", "floor"))


def fix_shapes(graph: Any, picture: Picture, outputs: Sequence[str]) -> None:
    """Set the input's shape in place, and leave `outputs` as the only ones, of whatever shape comes of it."""
    sides = graph.input[0].type.tensor_type.shape
    for side, length in zip(sides.dim, picture.shape):
        side.dim_value = length
    kept = {value.name: value for value in graph.output}
    del graph.output[:]
    for name in outputs:
        kept[name].type.tensor_type.ClearField("shape")
        graph.output.append(kept[name])


def folded(proto: Any, name: str) -> Any:
    """The `onnx.ModelProto` with batch norms folded and constant parts computed."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        try:
            open_session(proto.SerializeToString(), "basic", optimised=path, without=LEFT_OUT)
        except Exception as problem:  # ONNX Runtime has a class of its own for each failure
            raise FormatError(
                f"onnxruntime cannot load {name}: {first_line(problem)}", hint="export it again"
            ) from problem
        return onnx.load(path)


def rename(model: ir.Model) -> None:
    """Give every node a name of its own, and every value one that the deploy head and tail do not use."""
    graph = model.graph
    taken: set[str] = set()
    for node in graph:
        name = node.name or f"{node.outputs[0].name}/{node.op_type}"
        name = f"source/{name}" if name.startswith(RESERVED_STARTS) else name
        node.name = name if name not in taken else f"{name}.{len(taken)}"
        taken.add(node.name)
    values = (*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs))
    for value in values:
        if str(value.name) in RESERVED or str(value.name).startswith(RESERVED_STARTS):
            value.name = f"source/{value.name}"

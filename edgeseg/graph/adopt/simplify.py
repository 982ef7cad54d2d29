"""Upgrade the opset of a graph, fix its input size, fold constants, and fold batch norms into convolutions.

The folding is done by ONNX Runtime's basic optimisations, which emit standard operators only. INT8 needs the batch
norms inside the convolutions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
from onnx_ir.passes import common as passes

from edgeseg.errors import FormatError
from edgeseg.graph.adopt.batch_norm import move_norms_before_concats
from edgeseg.graph.adopt.network_input import NetworkInput
from edgeseg.graph.adopt.source import Source, first_line, standard_opset
from edgeseg.sessions import open_session

OPSET = 17  # the passes need it, and it is the last that TensorRT 8.6 reads
IR_VERSION = 8
HALF_PIXEL_OPSET = 11  # the first whose Resize has a coordinate mode; older ones are asymmetric
DISABLED = ["MatMulAddFusion"]  # it would add reshapes around each matrix product of a transformer
RESERVED = ("rgb", "logits", "mask")
RESERVED_STARTS = ("frame", "mask", "heads", "source/")
NO_COMPUTATION = {"Cast", "Constant", "Identity", "Squeeze", "Transpose", "Unsqueeze"}


def simplified_from_source(source: Source, network_input: NetworkInput, outputs: Sequence[str]) -> ir.Model:
    """The part of `source` that `outputs` depend on, in opset 17 or newer, for one image of a fixed size."""
    proto = upgraded_proto(source)
    fix_shapes(proto.graph, network_input, outputs)
    model = ir.from_proto(constant_folded(proto, source.path.name))
    if move_norms_before_concats(model):
        model = ir.from_proto(constant_folded(ir.to_proto(model), source.path.name))
    passes.RemoveUnusedNodesPass()(model)
    if all(node.op_type in NO_COMPUTATION for node in model.graph):
        raise FormatError(f"{source.path.name} computes nothing from its image", hint="export the trained network")
    passes.ClearMetadataAndDocStringPass()(model)
    passes.RemoveUnusedOpsetsPass()(model)
    rename(model)
    model.graph.name, model.producer_name, model.producer_version = "edgeseg", "edgeseg", None
    passes.ShapeInferencePass()(model)
    return model


def upgraded_proto(source: Source) -> Any:
    """A copy of the file's `onnx.ModelProto` in opset 17 or newer, without weights in its list of inputs."""
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
        message = f"{source.path.name} cannot be converted from opset {source.opset} to {OPSET}: {reason}"
        raise FormatError(message, hint=f"export it again, with opset {OPSET} or newer", code="ES-OPSET") from problem
    if source.opset < HALF_PIXEL_OPSET:
        set_resize_coordinates(proto.graph)
    assert standard_opset(proto) == OPSET
    return proto


def set_resize_coordinates(graph: Any) -> None:
    """Write the coordinate mode of Upsample and the first Resize, which the converter leaves out."""
    from onnx import helper

    for node in graph.node:
        names = {attribute.name for attribute in node.attribute}
        if node.op_type == "Resize" and "coordinate_transformation_mode" not in names:
            node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
            node.attribute.append(helper.make_attribute("nearest_mode", "floor"))


def fix_shapes(graph: Any, network_input: NetworkInput, outputs: Sequence[str]) -> None:
    """Set the input's shape, and make `outputs` the only outputs, with their shapes unset, in place."""
    sides = graph.input[0].type.tensor_type.shape
    for side, length in zip(sides.dim, network_input.shape):
        side.dim_value = length
    values = {value.name: value for value in graph.output}
    del graph.output[:]
    for name in outputs:
        values[name].type.tensor_type.ClearField("shape")
        graph.output.append(values[name])


def constant_folded(proto: Any, name: str) -> Any:
    """The `onnx.ModelProto` with constants and batch norms folded."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        try:
            open_session(proto.SerializeToString(), "basic", optimised=path, without=DISABLED)
        except Exception as problem:  # ONNX Runtime has a class of its own for each failure
            raise FormatError(
                f"onnxruntime cannot load {name}: {first_line(problem)}", hint="export it again"
            ) from problem
        return onnx.load(path)


def rename(model: ir.Model) -> None:
    """Give every node a unique name, and every value a name that the deploy graph does not use itself."""
    graph = model.graph
    names: set[str] = set()
    for node in graph:
        name = node.name or f"{node.outputs[0].name}/{node.op_type}"
        name = f"source/{name}" if name.startswith(RESERVED_STARTS) else name
        node.name = name if name not in names else f"{name}.{len(names)}"
        names.add(node.name)
    values = (*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs))
    for value in values:
        if str(value.name) in RESERVED or str(value.name).startswith(RESERVED_STARTS):
            value.name = f"source/{value.name}"

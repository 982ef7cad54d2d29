"""Lower a graph to opset 17, the last that TensorRT 8 reads, and list the operators that its parsers support.

onnx's version converter fails on attributes that torch's exporter writes into every reduction. An attribute that opset
17 does not have is removed if it has the default of the newer opset, which is the behaviour of the older one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeseg.errors import MismatchError
from edgeseg.graph.core import add_constant, constant, infer_types
from edgeseg.graph.float16 import is_opaque

OPSET, IR_VERSION = 17, 8
HINT = "export it again with opset 17, or build it with TensorRT 10 or newer"
FLOATS = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE}
INTEGERS = {ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT32, ir.DataType.INT64, ir.DataType.BOOL}


def lowered_to_opset17(model: ir.Model) -> ir.Model:
    """Lower `model` to opset 17 and IR version 8, in place; older models keep their versions.

    MismatchError with operator and node if opset 17 cannot express it.
    """
    from onnx import defs

    opset = infer_types(model).graph.opset_imports.get("", 0)
    for node in list(model.graph):
        if is_opaque(node):
            raise refusal(node, "is not a standard operator, or has a subgraph")
        check_types(node)
        if opset > OPSET:
            lower_node(model.graph, node, defs, opset)
    model.graph.opset_imports.clear()
    model.graph.opset_imports[""] = min(opset, OPSET)
    model.ir_version = min(model.ir_version, IR_VERSION)
    RemoveUnusedNodesPass()(model)
    return model


def refusal(node: ir.Node, reason: str) -> MismatchError:
    """The error for a graph that needs a newer opset because of `node`."""
    message = f"this graph cannot be lowered to opset {OPSET}: {node.op_type} {node.name} {reason}"
    return MismatchError(message, hint=HINT, code="ES-OPSET")


def check_types(node: ir.Node) -> None:
    """MismatchError if `node` uses a type that opset 17 does not have, or is a Q/DQ in float16."""
    values = [value for value in (*node.inputs, *node.outputs) if value is not None and value.dtype is not None]
    if newer := [value.dtype for value in values if value.dtype not in FLOATS | INTEGERS]:
        raise refusal(node, f"computes in {newer[0]}")
    quantises = node.op_type in ("QuantizeLinear", "DequantizeLinear")
    if quantises and any(value.dtype in FLOATS - {ir.DataType.FLOAT} for value in values):
        raise refusal(node, "quantises another type than float32")


def lower_node(graph: ir.Graph, node: ir.Node, defs: Any, opset: int) -> None:
    """Rewrite `node` for opset 17. defs: onnx.defs. opset: the current one."""
    if not defs.has(node.op_type, OPSET, ""):
        raise refusal(node, f"was added in opset {defs.get_schema(node.op_type, opset, '').since_version}")
    schema, old = defs.get_schema(node.op_type, opset, ""), defs.get_schema(node.op_type, OPSET, "")
    if schema.since_version == old.since_version:
        return
    if node.op_type in LOWERINGS:
        LOWERINGS[node.op_type](graph, node)
    elif node.op_type not in MORE_TYPES.split():
        raise refusal(node, f"was redefined in opset {schema.since_version}")
    for name, attribute in list(node.attributes.items()):
        if name not in old.attributes:
            if not is_default(attribute, schema.attributes[name]):
                raise refusal(node, f"has {name}={attribute.value}")
            del node.attributes[name]


def is_default(attribute: ir.Attr, schema: Any) -> bool:
    """Whether `attribute` has the default value of its `schema`."""
    if attribute.name == "dilations":
        return set(attribute.as_ints()) == {1}
    default = schema.default_value  # an empty AttributeProto if there is none
    return bool(default.name) and ir.from_proto(default).value == attribute.value


def lower_reduction(graph: ir.Graph, node: ir.Node) -> None:
    """Make the axes an attribute; in opset 17 only ReduceSum takes them as an input."""
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    if axes is not None:
        values = constant(axes)
        if values is None:
            raise refusal(node, "computes its axes")
        node.attributes.add(ir.AttrInt64s("axes", [int(axis) for axis in values.reshape(-1)]))
    elif node.attributes.get_int("noop_with_empty_axes", 0):
        raise refusal(node, "has no axes and noop_with_empty_axes=1")
    node.resize_inputs(1)


def lower_resize(graph: ir.Graph, node: ir.Node) -> None:
    """Write scales or sizes for all axes instead of those in the attribute "axes"."""
    mode = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    if mode == "half_pixel_symmetric":
        raise refusal(node, f"has coordinate_transformation_mode={mode}")
    axes = node.attributes.get_ints("axes", ())
    if not axes:
        return
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if shape is None or (len(node.inputs) > 1 and node.inputs[1] is not None):
        raise refusal(node, "resizes some axes of a tensor of unknown shape, or a region")
    for index, kind in ((2, np.float32), (3, np.int64)):
        value = node.inputs[index] if len(node.inputs) > index else None
        if value is not None:
            whole = np.ones(len(shape), kind) if index == 2 else np.array(static_shape(node, shape), kind)
            whole[list(axes)] = constant_input(node, value)
            node.replace_input_with(index, add_constant(graph, f"{node.name}/{index}", whole))
    del node.attributes["axes"]


def static_shape(node: ir.Node, shape: ir.Shape) -> tuple[int, ...]:
    """`shape`. MismatchError if a side is unknown."""
    if not shape.is_static():
        raise refusal(node, "resizes some axes of a tensor of unknown shape")
    return tuple(shape.numpy())


def constant_input(node: ir.Node, value: ir.Value) -> Any:
    """The array of an input of `node`. MismatchError if it is computed."""
    array = constant(value)
    if array is None:
        raise refusal(node, f"computes its input {value.name}")
    return array


def lower_pad(graph: ir.Graph, node: ir.Node) -> None:
    """Write the padding of all axes instead of those in the input "axes"."""
    if node.attributes.get_string("mode", "constant") == "wrap":
        raise refusal(node, "has mode=wrap")
    axes = node.inputs[3] if len(node.inputs) > 3 else None
    if axes is None:
        return
    source, amounts = node.inputs[0], node.inputs[1]
    if source is None or source.shape is None or amounts is None:
        raise refusal(node, "pads some axes of a tensor of unknown shape")
    wanted = constant_input(node, axes).astype(int) % len(source.shape)
    whole = np.zeros((2, len(source.shape)), np.int64)
    whole[:, wanted] = constant_input(node, amounts).reshape(2, -1)
    node.replace_input_with(1, add_constant(graph, f"{node.name}/pads", whole.reshape(-1)))
    node.resize_inputs(3)


def lower_split(graph: ir.Graph, node: ir.Node) -> None:
    """Write the sizes of the parts instead of their number."""
    if "num_outputs" not in node.attributes:
        return
    axis = node.attributes.get_int("axis", 0)
    parts = [value.shape[axis] if value.shape is not None else None for value in node.outputs]
    if not all(isinstance(part, int) for part in parts):
        raise refusal(node, "splits an axis of unknown length")
    node.resize_inputs(2)
    node.replace_input_with(1, add_constant(graph, f"{node.name}/split", np.array(parts, np.int64)))
    del node.attributes["num_outputs"]


def lower_quantisation(graph: ir.Graph, node: ir.Node) -> None:
    """Drop output_dtype where the zero point has the same type; blocks cannot be expressed."""
    codes = node.outputs[0].dtype if node.op_type == "QuantizeLinear" else ir.DataType.FLOAT
    named = node.attributes.get_int("output_dtype", 0)
    if named and (named != codes or (node.op_type == "QuantizeLinear" and len(node.inputs) < 3)):
        raise refusal(node, f"has output_dtype={named}")
    node.attributes.pop("output_dtype", None)


def lower_scatter(graph: ir.Graph, node: ir.Node) -> None:
    """Nothing to do but where the newer opset has a further reduction."""
    reduction = node.attributes.get_string("reduction", "none")
    if reduction in ("max", "min"):
        raise refusal(node, f"has reduction={reduction}")


REDUCTIONS = "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare"
LOWERINGS: dict[str, Callable[[ir.Graph, ir.Node], None]] = {
    **dict.fromkeys(REDUCTIONS.split(), lower_reduction),
    "Resize": lower_resize,
    "Pad": lower_pad,
    "Split": lower_split,
    **dict.fromkeys(("ScatterElements", "ScatterND"), lower_scatter),
    "QuantizeLinear": lower_quantisation,
    "DequantizeLinear": lower_quantisation,
}
# Newer opsets allow more types for these, and attributes whose default is the older behaviour.
MORE_TYPES = """
    AveragePool Cast Constant ConstantOfShape Conv ConvTranspose Cos DepthToSpace Dropout Elu Equal Flatten
    GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity InstanceNormalization MaxPool Mod Reshape Round
    Selu Shape Sin Size Softplus Softsign SpaceToDepth Squeeze ThresholdedRelu TopK Transpose
    Unsqueeze
"""
# Operators that the ONNX parsers of TensorRT 8 support. Source: docs/operators.md of onnx/onnx-tensorrt at 8.5-GA, the
# rows marked Y; for 8.6 the additions in its Changelog.
TRT8_5_NAMES = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip Concat
    Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout Einsum Elu
    Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool
    GlobalMaxPool Greater GreaterOrEqual GridSample HardSigmoid HardSwish Identity If ImageScaler InstanceNormalization
    IsNaN LRN LSTM LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool Mean
    MeanVarianceNormalization Min Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pad ParametricSoftplus Pow
    QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
    ReverseSequence RoiAlign Round ScaledTanh Scan Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin
    Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK
    Transpose Trilu Unsqueeze Upsample Where Xor
"""
OPERATORS_8_5 = frozenset(TRT8_5_NAMES.split())
OPERATORS_8_6 = OPERATORS_8_5 | {"GroupNormalization", "IsInf", "LayerNormalization"}


def unsupported_nodes(model: ir.Model, operators: frozenset[str] = OPERATORS_8_6) -> Iterator[ir.Node]:
    """Yield the nodes of `model` that a parser with these `operators` refuses, in the graph's order."""
    return (node for node in model.graph if node.domain or node.op_type not in operators)

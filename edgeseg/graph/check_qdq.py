"""Check that a graph has the canonical Q/DQ form, which TensorRT fuses and computes as measured."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeseg.errors import FormatError
from edgeseg.graph.core import constant
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, WEIGHTED

HINT = "make it from the float ONNX with edgeseg quantize --target canonical"
FP16_SCALES_OPSET = 19


def check_canonical(model: ir.Model) -> None:
    """FormatError with the name of the first node of `model` whose Q/DQ is not canonical."""
    opset = model.graph.opset_imports.get("", 0)
    for node in model.graph:
        if node.op_type in (QUANTIZE, DEQUANTIZE):
            problem = encoding_problem(node, opset)
        elif node.op_type in WEIGHTED:
            problem = weight_problem(node)
        elif node.op_type == "Softmax":
            problem = softmax_problem(node)
        else:
            problem = ""
        if problem:
            raise FormatError(f"node {node.name or node.outputs[0].name} {problem}", hint=HINT, code="ES-QDQ")


def encoding_problem(node: ir.Node, opset: int) -> str:
    """The problem with the scale, zero point or type of a Q or DQ node; "" if there is none."""
    scale = constant(node.inputs[1])
    zero = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    codes = constant(node.inputs[0]) if node.op_type == DEQUANTIZE else None
    if scale is None:
        return "has a scale that is not constant"
    if scale.dtype == np.float16 and opset < FP16_SCALES_OPSET:
        return f"has a float16 scale in opset {opset}: small scales become zero"
    if not np.all(scale > 0):
        return "has a scale that is not positive"
    if codes is not None and codes.dtype == np.int32:
        return "dequantises an int32 bias, which TensorRT refuses"
    if zero is None or zero.dtype != np.int8:
        return "is not int8: TensorRT does not take uint8"
    return "has a zero point other than 0" if np.any(zero) else ""


def weight_problem(node: ir.Node) -> str:
    """The problem with the quantised weight of a Conv, MatMul or Gemm; "" if there is none or it is float."""
    weight = node.inputs[1].producer() if node.inputs[1] is not None else None
    if node.op_type != "Conv" or weight is None or weight.op_type != DEQUANTIZE:
        return ""
    codes, scale = (constant(value) for value in weight.inputs[:2])
    single = scale is not None and scale.size == 1 and codes is not None and codes.shape[0] > 1
    return "has a single scale for all channels of its weight" if single else ""


def softmax_problem(node: ir.Node) -> str:
    """The problem with a Softmax: its output is quantised; "" if it is not."""
    quantised = any(user.op_type == QUANTIZE for user in node.outputs[0].consumers())
    return "has a quantised output: small probabilities become zero" if quantised else ""

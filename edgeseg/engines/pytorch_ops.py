"""ONNX operators as torch functions: operator type -> a factory that takes the attributes and returns the function.

The function takes the node's inputs, None for an omitted one, and returns a tensor or a tuple. A factory raises
ValueError, which names the option, for options that are not implemented. Operators are those of opset 13 and newer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor

from edgeseg.engines.pytorch_attributes import Attributes, Function, OperatorFactory, integers, only, text
from edgeseg.engines.pytorch_indexing import arg_max, gather, gather_elements, scatter_elements, sliced, split, top_k
from edgeseg.engines.pytorch_resize import resize
from edgeseg.engines.pytorch_windows import average_pool, conv, conv_transpose, max_pool


def without_attributes(function: Function) -> OperatorFactory:
    """The factory of an operator without attributes."""
    return lambda attributes: function


def reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> OperatorFactory:
    """ReduceMean and its like: the axes are an attribute, or from opset 13 or 18 an input."""

    def make(attributes: Attributes) -> Function:
        keep, noop = bool(attributes.get("keepdims", 1)), bool(attributes.get("noop_with_empty_axes", 0))
        fixed = list(attributes.get("axes", ()))

        def call(x: Tensor, axes: Tensor | None = None) -> Tensor:
            over = fixed if axes is None else integers(axes)
            if not over and noop:
                return x
            return function(x, over or list(range(x.ndim)), keep)

        return call

    return make


def batch_norm(attributes: Attributes) -> Function:
    """BatchNormalization with its running statistics."""
    only(attributes, training_mode=(0,))
    epsilon = attributes.get("epsilon", 1e-5)
    return lambda x, scale, bias, mean, variance: F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)


def layer_norm(attributes: Attributes) -> Function:
    """LayerNormalization, the first output alone."""
    axis, epsilon = attributes.get("axis", -1), attributes.get("epsilon", 1e-5)

    def call(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        shape = x.shape[axis % x.ndim :]
        return F.layer_norm(x, shape, scale.expand(shape), None if bias is None else bias.expand(shape), epsilon)

    return call


def gemm(attributes: Attributes) -> Function:
    """Gemm: alpha * A' B' + beta * C."""
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    turn_a, turn_b = attributes.get("transA", 0), attributes.get("transB", 0)

    def call(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        product: Tensor = alpha * ((a.T if turn_a else a) @ (b.T if turn_b else b))
        return product if c is None else product + beta * c

    return call


def clip(attributes: Attributes) -> Function:
    """Clip; a bound may be left out."""

    def call(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
        return x if low is None and high is None else torch.clamp(x, low, high)

    return call


def divided(a: Tensor, b: Tensor) -> Tensor:
    """Div: integers are cut off towards zero."""
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


def gelu(attributes: Attributes) -> Function:
    """Gelu, exact or by tanh."""
    approximate = text(attributes, "approximate", "none")
    return lambda x: F.gelu(x, approximate=approximate)


def hard_sigmoid(attributes: Attributes) -> Function:
    """HardSigmoid: alpha x + beta, kept in 0..1. ONNX's default alpha is 0.2, torch's is 1/6."""
    alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return lambda x: torch.clamp(x * alpha + beta, 0.0, 1.0)


def reshape(attributes: Attributes) -> Function:
    """Reshape: 0 keeps a side, -1 is what is left."""
    allow_zero = attributes.get("allowzero", 0)

    def call(x: Tensor, shape: Tensor) -> Tensor:
        return x.reshape([x.shape[i] if n == 0 and not allow_zero else n for i, n in enumerate(integers(shape))])

    return call


def transpose(attributes: Attributes) -> Function:
    """Transpose; all axes turned around by default."""
    order = attributes.get("perm")
    return lambda x: x.permute(list(order) if order else list(range(x.ndim))[::-1])


def flatten(attributes: Attributes) -> Function:
    """Flatten to two axes."""
    axis = attributes.get("axis", 1)
    return lambda x: x.reshape(math.prod(x.shape[: axis if axis >= 0 else x.ndim + axis]), -1)


def depth_to_space(attributes: Attributes) -> Function:
    """Blocks of channels to squares of pixels; CRD has the order of torch's pixel_shuffle."""
    only(attributes, mode=("DCR", "CRD"))
    block = attributes["blocksize"]
    if text(attributes, "mode", "DCR") == "CRD":
        return lambda x: F.pixel_shuffle(x, block)
    return lambda x: F.pixel_shuffle(x.unflatten(1, (block * block, -1)).transpose(1, 2).flatten(1, 2), block)


def pad(attributes: Attributes) -> Function:
    """Pad with a constant, at all axes or at the named ones."""
    only(attributes, mode=("constant",))

    def call(x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
        amounts = integers(pads)
        before, after = amounts[: len(amounts) // 2], amounts[len(amounts) // 2 :]
        named = range(x.ndim) if axes is None else [axis % x.ndim for axis in integers(axes)]
        sides = dict(zip(named, zip(before, after)))
        reversed_sides = [size for axis in reversed(range(x.ndim)) for size in sides.get(axis, (0, 0))]
        return F.pad(x, reversed_sides, value=0.0 if value is None else float(value))

    return call


def squeezed(x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Squeeze the given axes, or all of size 1."""
    return x.squeeze() if axes is None else x.squeeze(tuple(integers(axes)))


def unsqueezed(x: Tensor, axes: Tensor) -> Tensor:
    """Unsqueeze: the axes count in the result."""
    rank = x.ndim + axes.numel()
    return reduce(torch.unsqueeze, sorted(axis % rank for axis in integers(axes)), x)


def shape_of(attributes: Attributes) -> Function:
    """Shape, or a part of it."""
    part = slice(attributes.get("start", 0), attributes.get("end"))
    return lambda x: torch.tensor(list(x.shape)[part], dtype=torch.int64)


def torch_dtype(element_type: int) -> torch.dtype:
    """ONNX's element type in torch."""
    return torch.from_numpy(np.empty(0, helper.tensor_dtype_to_np_dtype(element_type))).dtype


def cast(attributes: Attributes) -> Function:
    """Cast."""
    dtype = torch_dtype(attributes["to"])
    return lambda x: x.to(dtype)


def constant(attributes: Attributes) -> Function:
    """Constant: a tensor, or a number or a list of them."""
    if "value" in attributes:
        value = np.array(numpy_helper.to_array(attributes["value"]))
    else:
        name, number = next(iter(attributes.items()), ("no value", 0))
        if not name.startswith(("value_int", "value_float")):
            raise ValueError(name)
        value = np.array(number, np.int64 if "int" in name else np.float32)
    return lambda: torch.from_numpy(value)


def constant_of_shape(attributes: Attributes) -> Function:
    """ConstantOfShape; float zeros by default."""
    value = numpy_helper.to_array(attributes["value"]) if "value" in attributes else np.zeros(1, np.float32)
    filler = torch.from_numpy(np.array(value))
    return lambda shape: filler.expand(integers(shape)).clone()


def along(parameter: Tensor, x: Tensor, axis: int) -> Tensor:
    """A scale or zero point, shaped to go along one axis of `x`; a single one goes everywhere."""
    return parameter.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]) if parameter.ndim else parameter


def quantize(attributes: Attributes) -> Function:
    """QuantizeLinear: round half to even, add the zero point, saturate."""
    only(attributes, block_size=(0,))
    axis = attributes.get("axis", 1)
    default = torch_dtype(attributes["output_dtype"]) if attributes.get("output_dtype") else torch.uint8

    def call(x: Tensor, scale: Tensor, zero_point: Tensor | None = None) -> Tensor:
        dtype = default if zero_point is None else zero_point.dtype
        shift = 0 if zero_point is None else along(zero_point, x, axis).to(torch.float32)
        limits = torch.iinfo(dtype)
        return torch.clamp(torch.round(x / along(scale, x, axis)) + shift, limits.min, limits.max).to(dtype)

    return call


def dequantize(attributes: Attributes) -> Function:
    """DequantizeLinear: (x - zero point) * scale."""
    only(attributes, block_size=(0,))
    axis = attributes.get("axis", 1)

    def call(x: Tensor, scale: Tensor, zero_point: Tensor | None = None) -> Tensor:
        steps = x.to(torch.int32) if zero_point is None else x.to(torch.int32) - along(zero_point, x, axis)
        return steps.to(scale.dtype) * along(scale, x, axis)

    return call


FUNCTIONS: dict[str, Function] = {  # of operators without attributes
    "Abs": torch.abs,
    "Add": torch.add,
    "And": torch.logical_and,
    "Div": divided,
    "Dropout": lambda x, *unused: x,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Expand": lambda x, shape: x.expand(np.broadcast_shapes(x.shape, tuple(integers(shape)))),
    "Floor": torch.floor,
    "GlobalAveragePool": lambda x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
    "GlobalMaxPool": lambda x: x.amax(tuple(range(2, x.ndim)), keepdim=True),
    "Greater": torch.gt,
    "HardSwish": F.hardswish,
    "Identity": lambda x: x,
    "Less": torch.lt,
    "Log": torch.log,
    "MatMul": torch.matmul,
    "Max": lambda *parts: reduce(torch.maximum, parts),
    "Min": lambda *parts: reduce(torch.minimum, parts),
    "Mul": torch.mul,
    "Neg": torch.neg,
    "PRelu": lambda x, slope: torch.where(x < 0, x * slope, x),
    "Pow": torch.pow,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Slice": sliced,
    "Sqrt": torch.sqrt,
    "Squeeze": squeezed,
    "Sub": torch.sub,
    "Tanh": torch.tanh,
    "Unsqueeze": unsqueezed,
    "Where": torch.where,
}
OPERATORS: dict[str, OperatorFactory] = {
    **{name: without_attributes(function) for name, function in FUNCTIONS.items()},
    "ArgMax": arg_max,
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Cast": cast,
    "Clip": clip,
    "Concat": lambda attributes: lambda *parts: torch.cat(parts, attributes["axis"]),
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "DequantizeLinear": dequantize,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "Gelu": gelu,
    "Gemm": gemm,
    "HardSigmoid": hard_sigmoid,
    "LayerNormalization": layer_norm,
    "LeakyRelu": lambda attributes: lambda x: F.leaky_relu(x, attributes.get("alpha", 0.01)),
    "MaxPool": max_pool,
    "Mod": lambda attributes: torch.fmod if attributes.get("fmod") else torch.remainder,
    "Pad": pad,
    "QuantizeLinear": quantize,
    "ReduceMax": reduction(torch.amax),
    "ReduceMean": reduction(torch.mean),
    "ReduceMin": reduction(torch.amin),
    "ReduceSum": reduction(torch.sum),
    "Reshape": reshape,
    "Resize": resize,
    "ScatterElements": scatter_elements,
    "Shape": shape_of,
    "Softmax": lambda attributes: lambda x: torch.softmax(x, attributes.get("axis", -1)),
    "Split": split,
    "TopK": top_k,
    "Transpose": transpose,
}

"""Why a layer is wrong, or why its quantisation error is large: one function per cause, the most certain first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeseg.artifact import LoadedModel
from edgeseg.engines.backend import Array
from edgeseg.engines.engine import Engine
from edgeseg.files import sha256_from_file
from edgeseg.graph.core import constant
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, Pair

FP16_MAX = 65504.0
CLIPPED_SHARE = 0.01  # the percentile observer clips 1 value in 10,000
FEW_IMAGES = 8
LOWER = "quantise for OpenVINO: edgeseg quantize FP32.onnx --target openvino"
NAME_REFERENCE = "give the quantised ONNX's float model: --reference"
ROUNDING_ALONE = "8 bits are too few for this layer"
RECALIBRATE = "calibrate on images like those of the camera: edgeseg calibrate, then edgeseg quantize"


@dataclass(frozen=True)
class Cause:
    """sentence: without a full stop, to follow the layer's name. hint: what to type."""

    sentence: str
    hint: str


@dataclass(frozen=True)
class FailingLayer:
    """The first wrong layer. source: the ONNX of the engine. values: of the layer's tensor, according to `source`.

    reference: the float model. inputs: tensor -> its values there, for the tensors that are rounded before the layer.
    Both are given if the runtime is right and the quantisation error is large.
    """

    engine: Engine
    source: LoadedModel
    node: ir.Node
    values: Array
    reference: LoadedModel | None = None
    inputs: Mapping[str, Array] | None = None


def node_label(node: ir.Node) -> str:
    """A node for messages: its name, which contains its torch module, and its operator."""
    return f"{node.name or node.outputs[0].name} ({node.op_type})"


def pairs_before(value: ir.Value | None) -> Iterator[Pair]:
    """The nearest Q/DQ pairs on activations before `value`, or at it."""
    node = None if value is None else value.producer()
    if node is None or constant(node.inputs[0] if node.inputs else None) is not None:
        return
    quantize = node.inputs[0].producer() if node.op_type == DEQUANTIZE and node.inputs[0] is not None else None
    if quantize is not None and quantize.op_type == QUANTIZE:
        yield Pair(quantize, node)
        return
    for operand in node.inputs:
        yield from pairs_before(operand)


def zero_of(pair: Pair) -> Array:
    """The zero point; by default unsigned 0."""
    zero = constant(pair.quantize.inputs[2]) if len(pair.quantize.inputs) > 2 else None
    return np.array(0, np.uint8) if zero is None else zero


def is_signed(pair: Pair) -> bool:
    """Whether its values are int8, as in the canonical form."""
    return bool(zero_of(pair).dtype == np.int8)


def produced_by(value: ir.Value | None, op: str) -> bool:
    """Whether `value` is the output of an `op`."""
    node = None if value is None else value.producer()
    return node is not None and node.op_type == op


def weight_not_finite(layer: FailingLayer) -> Cause | None:
    """A constant of the layer contains NaN or infinity."""
    for value in layer.node.inputs:
        array = constant(value)
        if value is not None and array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
            return Cause(
                f"its constant {value.name} contains NaN or infinity",
                "export another checkpoint: the weights are damaged, or the training diverged",
            )
    return None


def fp16_overflow(layer: FailingLayer) -> Cause | None:
    """The values exceed the range of float16."""
    dtype = layer.node.outputs[0].dtype
    size = np.abs(layer.values).max(initial=0.0)
    if not size > FP16_MAX or (np.isinf(size) and dtype != ir.DataType.FLOAT16):
        return None
    largest = "infinity" if np.isinf(size) else f"{size:.0f}"
    return Cause(
        f"its values overflow float16 (maximum {FP16_MAX:.0f}): they reach {largest}",
        "build bf16 or fp32, which have a larger range",
    )


def concat_of_signed_codes(layer: FailingLayer) -> Cause | None:
    """OpenVINO 2026.4.1 computes a concat of int8 values wrongly."""
    for value in layer.node.inputs:
        for pair in pairs_before(value):
            if is_signed(pair) and (produced_by(pair.tensor, "Concat") or produced_by(value, "Concat")):
                return Cause(
                    "it reads a Concat of int8 values, which OpenVINO computes wrongly",
                    LOWER,
                )
    return None


def padded_pool_of_codes(layer: FailingLayer) -> Cause | None:
    """OpenVINO 2026.4.1 averages a border wrongly if the zero point is not unsigned 0."""
    node = layer.node
    padded = node.op_type == "AveragePool" and any(node.attributes.get_ints("pads", ()) or ())
    if not padded or not any(is_signed(pair) or np.any(zero_of(pair)) for pair in pairs_before(node.inputs[0])):
        return None
    return Cause("it averages a border of 8-bit values, which OpenVINO computes wrongly", LOWER)


def other_target(layer: FailingLayer) -> Cause | None:
    """The Q/DQ pairs were placed for another runtime."""
    target = layer.source.provenance.target
    if not target or target in layer.engine.targets:
        return None
    return Cause(
        f"its Q/DQ pairs were placed for {target}",
        f"edgeseg quantize FP32.onnx --target {layer.engine.name}",
    )


def unknown(layer: FailingLayer) -> Cause:
    """No other cause applies."""
    tensor = layer.node.outputs[0].name
    return Cause(
        "the cause is unknown",
        f"use another engine, and report it to the runtime's developers: {layer.source.path.name}, tensor {tensor}",
    )


def other_reference(layer: FailingLayer) -> Cause | None:
    """The float model is not the one that was quantised."""
    origin = layer.source.provenance.onnx_sha256
    if layer.reference is None or origin in ("", sha256_from_file(layer.reference.path)):
        return None
    return Cause(f"{layer.reference.path.name} is not the ONNX that was quantised", NAME_REFERENCE)


def scale_of_one(layer: FailingLayer) -> Cause | None:
    """The range was zero on all images: the scale is 1."""
    for pair in rounded_inputs(layer):
        if float(scale_of(pair)) == 1.0:
            return Cause(
                f"tensor {pair.tensor.name} was zero on all calibration images, but is not zero here", RECALIBRATE
            )
    return None


def clipped(layer: FailingLayer) -> Cause | None:
    """The range is too small for these images."""
    shares = {str(pair.tensor.name): clipped_share(pair, layer) for pair in rounded_inputs(layer)}
    name = max(shares, key=lambda each: shares[each], default="")
    if not name or shares[name] < CLIPPED_SHARE:
        return None
    return Cause(f"{shares[name]:.0%} of the values of tensor {name} are clipped: its range is too small", RECALIBRATE)


def range_too_large(layer: FailingLayer) -> Cause | None:
    """Few of the 8-bit values are used: the range comes from images, or a model, with far larger values."""
    for pair in rounded_inputs(layer):
        values = (layer.inputs or {})[str(pair.tensor.name)]
        largest, steps = np.abs(values).max(initial=0.0), 16
        if 0 < largest < steps * float(scale_of(pair)):
            return Cause(
                f"tensor {pair.tensor.name} uses fewer than {steps} of its 127 steps: its range is too large",
                RECALIBRATE,
            )
    return None


def few_images(layer: FailingLayer) -> Cause | None:
    """The ranges come from very few images."""
    ranges = layer.source.provenance.ranges
    if ranges is None or ranges.images >= FEW_IMAGES:
        return None
    return Cause(
        f"the ranges come from only {ranges.images} images", "calibrate on 64 or more images like those of the camera"
    )


def rounding_alone(layer: FailingLayer) -> Cause:
    """No other cause applies."""
    return Cause(ROUNDING_ALONE, "build bf16 or fp32, or train with int8 in mind")


def rounded_inputs(layer: FailingLayer) -> list[Pair]:
    """The pairs before the layer whose float values are known."""
    pairs = [pair for value in layer.node.inputs for pair in pairs_before(value)]
    return [pair for pair in pairs if str(pair.tensor.name) in (layer.inputs or {})]


def scale_of(pair: Pair) -> Array:
    """The scale of its values."""
    scale = constant(pair.quantize.inputs[1])
    assert scale is not None
    return scale


def clipped_share(pair: Pair, layer: FailingLayer) -> float:
    """The share of the float values before `pair` that are out of range."""
    values, scale = (layer.inputs or {})[str(pair.tensor.name)], scale_of(pair)
    zero = zero_of(pair)
    limits = np.iinfo(zero.dtype)
    quantised = np.round(values / scale) + zero.astype(np.float32)
    return float(np.mean((quantised < limits.min) | (quantised > limits.max)))


Predicate = Callable[[FailingLayer], Cause | None]
EVERYWHERE: tuple[Predicate, ...] = (weight_not_finite, fp16_overflow, other_target)
# Known bugs of runtimes.
OF_ENGINE: dict[str, tuple[Predicate, ...]] = {"openvino": (concat_of_signed_codes, padded_pool_of_codes)}
OF_QUANTISING: tuple[Predicate, ...] = (other_reference, scale_of_one, clipped, range_too_large, few_images)


def diagnose(layer: FailingLayer) -> Cause:
    """Why the engine computes a layer differently from its ONNX, or why that layer is not finite.

    With a float model: why the layer of the int8 ONNX deviates from that of the float ONNX.
    """
    if layer.reference is not None:
        predicates, default = OF_QUANTISING, rounding_alone
    else:
        predicates, default = (*OF_ENGINE.get(layer.engine.name, ()), *EVERYWHERE), unknown
    return next((cause for each in predicates if (cause := each(layer)) is not None), default(layer))

"""Why a layer of an engine is off, or what quantising lost there: one function a cause, the surest first."""

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
CLIPPED_SHARE = 0.01  # the percentile observer leaves out 1 value in 10,000
FEW_IMAGES = 8
LOWER = "lower it: edgeseg quantize the fp32 ONNX with --target openvino"
NAME_REFERENCE = "name that one with --reference"
ROUNDING_ALONE = "rounding to 8 bits alone loses it there"
RECALIBRATE = "calibrate on images like those of the camera: edgeseg calibrate, then edgeseg quantize"


@dataclass(frozen=True)
class Cause:
    """sentence: without a full stop, to go behind the layer's name. hint: what to type."""

    sentence: str
    hint: str


@dataclass(frozen=True)
class FailingLayer:
    """The first layer that is off. source: what the engine was built from. values: of its tensor, as `source` says.

    reference: the float model. inputs: tensor -> its values there, for the tensors that are rounded before the layer.
    Both are there where the runtime is right and quantising lost something.
    """

    engine: Engine
    source: LoadedModel
    node: ir.Node
    values: Array
    reference: LoadedModel | None = None
    inputs: Mapping[str, Array] | None = None


def named(node: ir.Node) -> str:
    """A node as messages call it: its name, which is that of the torch module, and its operator."""
    return f"{node.name or node.outputs[0].name} ({node.op_type})"


def pairs_before(value: ir.Value | None) -> Iterator[Pair]:
    """The nearest Q/DQ pairs on activations that `value` comes out of, itself included."""
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
    """The code of zero; unsigned 0 unless given."""
    zero = constant(pair.quantize.inputs[2]) if len(pair.quantize.inputs) > 2 else None
    return np.array(0, np.uint8) if zero is None else zero


def is_signed(pair: Pair) -> bool:
    """Whether its codes are int8, as in the canonical form."""
    return bool(zero_of(pair).dtype == np.int8)


def produced_by(value: ir.Value | None, op: str) -> bool:
    """Whether `value` comes straight out of an `op`."""
    node = None if value is None else value.producer()
    return node is not None and node.op_type == op


def weight_not_finite(layer: FailingLayer) -> Cause | None:
    """A constant of the layer holds NaN or infinity."""
    for value in layer.node.inputs:
        array = constant(value)
        if value is not None and array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
            return Cause(
                f"its constant {value.name} holds NaN or infinity",
                "the weights are damaged or the training diverged: export a good checkpoint",
            )
    return None


def fp16_overflow(layer: FailingLayer) -> Cause | None:
    """The values are larger than float16 can hold."""
    dtype = layer.node.outputs[0].dtype
    size = np.abs(layer.values).max(initial=0.0)
    if not size > FP16_MAX or (np.isinf(size) and dtype != ir.DataType.FLOAT16):
        return None
    reached = "beyond that" if np.isinf(size) else f"{size:.0f}"
    return Cause(
        f"its values overflow float16, which ends at {FP16_MAX:.0f}: they reach {reached}",
        "build bf16 or fp32, which have the range",
    )


def concat_of_signed_codes(layer: FailingLayer) -> Cause | None:
    """OpenVINO 2026.4.1 computes wrong numbers for signed codes of a concat, or on its inputs."""
    for value in layer.node.inputs:
        for pair in pairs_before(value):
            if is_signed(pair) and (produced_by(pair.tensor, "Concat") or produced_by(value, "Concat")):
                return Cause(
                    "it reads a Concat with signed 8-bit codes, which OpenVINO computes wrongly",
                    LOWER,
                )
    return None


def padded_pool_of_codes(layer: FailingLayer) -> Cause | None:
    """OpenVINO 2026.4.1 computes wrong numbers where a border is averaged with codes whose zero is not unsigned 0."""
    node = layer.node
    padded = node.op_type == "AveragePool" and any(node.attributes.get_ints("pads", ()) or ())
    if not padded or not any(is_signed(pair) or np.any(zero_of(pair)) for pair in pairs_before(node.inputs[0])):
        return None
    return Cause("it averages a border with 8-bit codes, which OpenVINO computes wrongly", LOWER)


def other_target(layer: FailingLayer) -> Cause | None:
    """The Q/DQ pairs stand where another runtime wants them."""
    target = layer.source.provenance.target
    if not target or target in layer.engine.targets:
        return None
    return Cause(
        f"its Q/DQ pairs stand where {target} wants them",
        f"edgeseg quantize the fp32 ONNX with --target {layer.engine.name}",
    )


def unknown(layer: FailingLayer) -> Cause:
    """What is left where no other cause is found."""
    tensor = layer.node.outputs[0].name
    return Cause(
        "the cause is not known",
        f"use another engine, and report {layer.source.path.name} cut at its tensor {tensor} to the runtime's makers",
    )


def other_reference(layer: FailingLayer) -> Cause | None:
    """The float model is not the one that was quantised."""
    origin = layer.source.provenance.onnx_sha256
    if layer.reference is None or origin in ("", sha256_from_file(layer.reference.path)):
        return None
    return Cause(f"{layer.reference.path.name} is not the ONNX that was quantised", NAME_REFERENCE)


def scale_of_one(layer: FailingLayer) -> Cause | None:
    """A range that was zero throughout leaves the scale at 1."""
    for pair in rounded_inputs(layer):
        if float(scale_of(pair)) == 1.0:
            return Cause(f"tensor {pair.tensor.name} was zero on all calibration images, and is not here", RECALIBRATE)
    return None


def clipped(layer: FailingLayer) -> Cause | None:
    """The range is too small for these pictures."""
    shares = {str(pair.tensor.name): clipped_share(pair, layer) for pair in rounded_inputs(layer)}
    name = max(shares, key=lambda each: shares[each], default="")
    if not name or shares[name] < CLIPPED_SHARE:
        return None
    return Cause(f"{shares[name]:.0%} of the values of tensor {name} are clipped: its range is too small", RECALIBRATE)


def range_too_large(layer: FailingLayer) -> Cause | None:
    """Most codes are never used: the range is of pictures, or of a model, with far larger values."""
    for pair in rounded_inputs(layer):
        values = (layer.inputs or {})[str(pair.tensor.name)]
        largest, used = np.abs(values).max(initial=0.0), 16
        if 0 < largest < used * float(scale_of(pair)):
            return Cause(
                f"tensor {pair.tensor.name} uses fewer than {used} of its 127 steps: its range is too large",
                RECALIBRATE,
            )
    return None


def few_images(layer: FailingLayer) -> Cause | None:
    """The ranges rest on a handful of pictures."""
    ranges = layer.source.provenance.ranges
    if ranges is None or ranges.images >= FEW_IMAGES:
        return None
    return Cause(
        f"the ranges are of {ranges.images} images only", "calibrate on 64 or more images like those of the camera"
    )


def rounding_alone(layer: FailingLayer) -> Cause:
    """What is left where no other cause is found."""
    return Cause(ROUNDING_ALONE, "build bf16 or fp32, or train with int8 in mind")


def rounded_inputs(layer: FailingLayer) -> list[Pair]:
    """The pairs before the layer, of which the float values are known."""
    found = [pair for value in layer.node.inputs for pair in pairs_before(value)]
    return [pair for pair in found if str(pair.tensor.name) in (layer.inputs or {})]


def scale_of(pair: Pair) -> Array:
    """The scale of its codes."""
    scale = constant(pair.quantize.inputs[1])
    assert scale is not None
    return scale


def clipped_share(pair: Pair, layer: FailingLayer) -> float:
    """The share of the float values before `pair` that no code reaches."""
    values, scale = (layer.inputs or {})[str(pair.tensor.name)], scale_of(pair)
    zero = zero_of(pair)
    limits = np.iinfo(zero.dtype)
    codes = np.round(values / scale) + zero.astype(np.float32)
    return float(np.mean((codes < limits.min) | (codes > limits.max)))


Predicate = Callable[[FailingLayer], Cause | None]
EVERYWHERE: tuple[Predicate, ...] = (weight_not_finite, fp16_overflow, other_target)
# What is known of single runtimes.
OF_ENGINE: dict[str, tuple[Predicate, ...]] = {"openvino": (concat_of_signed_codes, padded_pool_of_codes)}
OF_QUANTISING: tuple[Predicate, ...] = (other_reference, scale_of_one, clipped, range_too_large, few_images)


def diagnose(layer: FailingLayer) -> Cause:
    """Why the engine computes another layer than its ONNX says, or why that is not finite.

    Where the float model is given, why the layer of the int8 ONNX is off from that of the float ONNX.
    """
    if layer.reference is not None:
        predicates, otherwise = OF_QUANTISING, rounding_alone
    else:
        predicates, otherwise = (*OF_ENGINE.get(layer.engine.name, ()), *EVERYWHERE), unknown
    return next((cause for each in predicates if (cause := each(layer)) is not None), otherwise(layer))

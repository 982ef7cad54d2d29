"""INT8 from ranges: the float graph with the Q/DQ pairs that the target fuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from edgeseg.artifact import Artifact, LoadedModel, Onnx, load_onnx, written_onnx
from edgeseg.calib import range_from_stats
from edgeseg.calib.bias import correct_biases, has_channels
from edgeseg.calib.equalize import equalize_channels
from edgeseg.calib.placement import CANONICAL, Placement, layout_for, placement_from_model, scale_source
from edgeseg.calib.range import Range, RangeTable
from edgeseg.calib.uint8_input import fold_normalisation
from edgeseg.errors import FormatError, MismatchError
from edgeseg.files import sha256_from_file
from edgeseg.graph.check_qdq import check_canonical
from edgeseg.graph.core import core_from_model
from edgeseg.graph.identity import tensor_ids
from edgeseg.graph.lower_qdq import Layout, lower_qdq, with_activation
from edgeseg.graph.qdq import LEVELS, NARROW_LEVELS, SMALLEST_SCALE, insert_qdq
from edgeseg.measure.device import adds_int8_exactly
from edgeseg.provenance import RangeSource
from edgeseg.spec import Precision

WEIGHT_LEVELS = {8: LEVELS, 7: NARROW_LEVELS}  # bits -> the largest code


@dataclass(frozen=True)
class Method:
    """How scales, weights and biases are chosen. observer: a name of OBSERVERS.

    equalize, bias_correction: see calib.equalize and calib.bias; both need a range table with channels.
    uint8_input: see calib.uint8_input; only for targets whose layout has it. weight_bits: 7 or 8; None for 7 where the
    target would saturate on this processor, else 8.
    """

    observer: str = "mse"
    equalize: bool = False
    bias_correction: bool = False
    uint8_input: bool = True
    weight_bits: int | None = None

    @property
    def corrections(self) -> tuple[str, ...]:
        """The names of the corrections that are made."""
        return tuple(name for name in ("equalize", "bias_correction") if getattr(self, name))

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return {"observer": self.observer, **({"corrections": list(self.corrections)} if self.corrections else {})}

    def weight_bits_for(self, layout: Layout | None) -> int:
        """The bits of the weights for a target with `layout`."""
        if self.weight_bits is not None:
            return self.weight_bits
        return 7 if layout is not None and layout.saturates and not adds_int8_exactly() else 8


def best_method(source: Artifact, table: RangeTable) -> Method:
    """The method that keeps most labels (benchmarks/int8_methods.py), as far as the table has the statistics for it.

    Weights from quantisation-aware training have learnt the rounding of uncorrected ranges: corrections would undo it.
    """
    if tuned := source.provenance.qat_observer:
        return Method(tuned, uint8_input=False)
    by_channel = has_channels(table)
    return Method(equalize=by_channel, bias_correction=by_channel)


def int8_from_ranges(
    onnx: Onnx,
    table: RangeTable,
    *,
    target: str,
    out: str | Path,
    method: Method | None = None,
    float_nodes: frozenset[str] = frozenset(),
) -> LoadedModel:
    """Write the float ONNX `onnx` as INT8 for `target`, a key of placement.TARGETS.

    method: `best_method` by default. float_nodes: names of convolutions and matrix products that stay float in addition
    to those of the placement. MismatchError where the table is of another network or lacks statistics that `method`
    needs.
    """
    source = load_onnx(onnx)
    if source.precision is not Precision.FP32:
        raise FormatError(
            f"{source.path.name} is {source.precision} already", hint="name the fp32 ONNX that it was made from"
        )
    model = source.graph()
    table.check(model, source.spec.name)
    method = method or best_method(source.artifact, table)
    quantised = quantized_model(model, table, method, target=target, float_nodes=float_nodes)
    bits = method.weight_bits_for(layout_for(target))
    ranges = RangeSource(table.images, table.images_sha256, method.observer, method.corrections, bits)
    provenance = replace(source.provenance, onnx_sha256=sha256_from_file(source.path), ranges=ranges, target=target)
    artifact = replace(source.artifact, path=Path(out), precision=Precision.INT8, provenance=provenance)
    return written_onnx(ir.to_proto(quantised), artifact)


def quantized_model(
    model: ir.Model, table: RangeTable, method: Method, *, target: str, float_nodes: frozenset[str] = frozenset()
) -> ir.Model:
    """The float graph `model` as INT8 for `target`; arguments as for `int8_from_ranges`.

    With `float_nodes`, the target's further pairs go only next to the quantised layers.
    """
    layout, transferred = layout_for(target), table
    if method.equalize:
        model, transferred = equalize_channels(model, table)
    if layout is not None and layout.uint8_input and method.uint8_input:
        placement = placement_from_model(model, layout, float_nodes=float_nodes)
        model, transferred = fold_normalisation(model, transferred, placement)
    scales = scales_from_table(model, transferred, method.observer)
    levels = WEIGHT_LEVELS[method.weight_bits_for(layout)]
    copy = ir.from_proto(ir.to_proto(model))
    quantised = quantize_canonical(copy, scales, layout, float_nodes=float_nodes, levels=levels)
    if method.bias_correction:
        correct_biases(quantised, model, transferred)
    check_canonical(quantised)
    if layout is not None:
        placement = placement_from_model(model, layout, float_nodes=float_nodes)
        tensors = tensors_next_to(placement) if float_nodes else scales.keys()
        lower_qdq(quantised, layout, {name: scale for name, scale in scales.items() if name in tensors})
    return quantised


def tensors_next_to(placement: Placement) -> set[str]:
    """The inputs and outputs of the quantised layers, the outputs before and after their activation."""
    nodes = placement.weighted
    values = [value for node in nodes for value in (node.inputs[0], node.outputs[0], with_activation(node.outputs[0]))]
    return {str(value.name) for value in values if value is not None}


def quantize_canonical(
    model: ir.Model,
    scales: Mapping[str, float],
    layout: Layout | None = CANONICAL,
    *,
    float_nodes: frozenset[str] = frozenset(),
    levels: int = LEVELS,
) -> ir.Model:
    """Put the canonical pairs and int8 weights into the float graph `model`, in place; `layout` is not lowered to.

    layout, float_nodes: as for `placement_from_model`. levels: the largest code of a weight.
    """
    placement = placement_from_model(model, layout, float_nodes=float_nodes)
    pair_scales = {str(value.name): scales[str(value.name)] for value in placement.tensors}
    return insert_qdq(model, pair_scales, placement.weighted, levels)


def scales_from_table(model: ir.Model, table: RangeTable, observer: str) -> dict[str, float]:
    """Tensor name -> symmetric int8 scale, for every float activation of the core of `model`."""
    ids = tensor_ids(model)
    missing = [name for name, key in ids.items() if key not in table.tensors]
    if missing:
        raise MismatchError(
            f"the range table of {table.model} has no range for tensor {missing[0]}",
            hint="make it again with edgeseg calibrate",
        )
    core = core_from_model(model)
    sources = {str(value.name): str(scale_source(value, core).name) for value in core.activations()}
    stats = {name: table.tensors[ids[sources.get(name, name)]] for name in ids}
    return {name: scale_from_range(range_from_stats(stat, observer)) for name, stat in stats.items()}


def scale_from_range(interval: Range) -> float:
    """The symmetric int8 scale that covers `interval`; 1 for a tensor of zeros or almost zeros."""
    scale = interval.absmax / LEVELS
    return scale if scale >= SMALLEST_SCALE else 1.0

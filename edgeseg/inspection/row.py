"""The rows of an inspected engine: what each layer is for, its precision, and the bytes it moves."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.artifact import Layer
from edgeseg.engines.tensorrt.plan_layers import PlanLayer, PlanTensor, is_product, product_precision, working_layers

COPY_OPS = re.compile(r"reformat|copy|shuffle|cast|noop|reshape|transpose|concat", re.IGNORECASE)
COPYING = {
    "Move",
    "Tran",
    "Cast",
    "Resh",
    "Conc",
    "Slic",
    "Copy",
    "Pad",
}  # the parts of a name such as "__myl_ReshConcResh"
KERNEL_WORDS = re.compile(r"[A-Z][a-z]+")
KERNEL = re.compile(r"__myl_(\w+?)(?:_myl\d|_0x|$)")
TENSOR_NODE = re.compile(r"(?:(?:de)?quantizelinear|cast)", re.IGNORECASE)  # named after a tensor instead of a module


@dataclass(frozen=True)
class Row:
    """A layer that runs.

    label: the node that it computes or follows. kind: "compute" (it multiplies), "copy" (it only moves or casts),
        "quantize" (Q/DQ that did not fuse) or "other".
    computes: its ONNX convolutions and matrix products. requested: their precision, "" if unknown.
    precision: the type it multiplies in, or else writes.
    """

    layer: PlanLayer
    label: str
    kind: str
    computes: tuple[str, ...] = ()
    requested: str = ""
    precision: str = ""

    @property
    def modules(self) -> tuple[str, ...]:
        """The torch modules that the layer comes from."""
        return modules_from_nodes(self.computes or self.layer.nodes)

    @property
    def has_tensors(self) -> bool:
        """Whether the tensors that the layer reads and writes are known."""
        return bool(self.layer.inputs or self.layer.outputs or self.layer.constants)

    @property
    def weight_bytes(self) -> int | None:
        """The size of its weights and other constants; None if unknown."""
        return total_bytes(self.layer.constants) if self.has_tensors else None

    @property
    def activation_bytes(self) -> int | None:
        """The size of the activations that it reads and writes; None if unknown."""
        return total_bytes((*self.layer.inputs, *self.layer.outputs)) if self.has_tensors else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the layer and the properties of the row."""
        return {
            **self.layer.to_dict(), "label": self.label, "kind": self.kind, "modules": list(self.modules),
            "computes": list(self.computes), "requested": self.requested, "precision": self.precision,
            "weight_bytes": self.weight_bytes, "activation_bytes": self.activation_bytes,
        }  # fmt: skip


def rows_from_plan(plan: Sequence[PlanLayer], layers: Iterable[Layer] = ()) -> tuple[Row, ...]:
    """The rows of a plan, without layers that only synchronise. layers: those of its artifact."""
    requested = {layer.name: layer.requested for layer in layers if layer.requested}
    remaining = set(requested)
    return tuple(row_from_layer(layer, requested, remaining) for layer in working_layers(plan))


def rows_from_layers(layers: Iterable[Layer]) -> tuple[Row, ...]:
    """The rows of an engine without a plan, or of an ONNX, from the layers of its artifact."""
    rows = []
    for layer in layers:
        plan_layer = PlanLayer(layer.name, layer.op, nodes=(layer.name,))
        computed = (layer.name,) if layer.requested else ()
        kind = "compute" if layer.obtained or computed else kind_of(plan_layer)
        rows.append(Row(plan_layer, layer.name, kind, computed, layer.requested, layer.obtained))
    return tuple(rows)


def row_from_layer(layer: PlanLayer, requested: Mapping[str, str], remaining: set[str]) -> Row:
    """The row of one layer. requested: ONNX node -> precision. remaining: nodes that no earlier layer computes."""
    kind = kind_of(layer)
    if kind != "compute":
        dtype = next((tensor.dtype for tensor in layer.outputs), "")
        return Row(layer, label_from_nodes(layer, requested), kind, precision=dtype)
    own = tuple(node for node in layer.nodes if node in remaining)
    remaining -= set(own)
    label = " + ".join(own) or label_from_nodes(layer, requested)
    return Row(layer, label, kind, own, requested.get(own[0], "") if own else "", product_precision(layer))


def label_from_nodes(layer: PlanLayer, computing: Container[str]) -> str:
    """The first node of the layer that computes nothing, else "after" its first node, else the runtime's name."""
    nodes = [node for node in layer.nodes if not is_qdq(node)] or list(layer.nodes)
    after = (f"after {node}" for node in nodes)
    return next((node for node in nodes if node not in computing), next(after, layer.name))


def kind_of(layer: PlanLayer) -> str:
    """What a layer is for."""
    if is_product(layer):
        return "compute"
    if layer.nodes and all(is_qdq(node) for node in layer.nodes):
        return "quantize"
    kernel = KERNEL.match(layer.name)
    copies = set(KERNEL_WORDS.findall(kernel.group(1))) <= COPYING if kernel else COPY_OPS.search(layer.op)
    return "copy" if copies else "other"


def is_qdq(node: str) -> bool:
    """Whether an ONNX node is a QuantizeLinear or DequantizeLinear, by its name."""
    return "quantizelinear" in node.rpartition("/")[2].lower()


def modules_from_nodes(nodes: Iterable[str]) -> tuple[str, ...]:
    """The distinct torch modules of nodes such as "stage4.0.gather.0/Conv". Q/DQ and casts are named after a tensor."""
    parts = (node.strip("/").rpartition("/") for node in nodes)
    return tuple(dict.fromkeys(module for module, _, op in parts if module and not TENSOR_NODE.match(op)))


def total_bytes(tensors: Iterable[PlanTensor]) -> int | None:
    """The size of `tensors` in memory; None if one is unknown, such as a size that is known at run time only."""
    tensors = tuple(tensors)
    is_known = all(tensor.bytes or 0 in tensor.shape for tensor in tensors)
    return sum(tensor.bytes for tensor in tensors) if is_known else None


def is_timed(rows: Sequence[Row]) -> bool:
    """Whether all `rows` have a measured time."""
    return bool(rows) and all(row.layer.milliseconds is not None for row in rows)


def known_sum(values: Iterable[float | None]) -> float | None:
    """The sum of the known values; None if there is none."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None

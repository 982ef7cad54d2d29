"""Problems to look at in an engine: lost precision, Q/DQ that did not fuse, detours through float, copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgeseg.artifact import Layer
from edgeseg.inspection.row import Row, known_sum, total_bytes

LARGEST = 5
WIDE = {"fp32", "fp16", "bf16"}


@dataclass(frozen=True)
class Finding:
    """One finding. code: stable, for scripts. layers: the names of the layers concerned."""

    code: str
    message: str
    layers: tuple[str, ...]


def findings(rows: Sequence[Row], layers: Iterable[Layer] = ()) -> tuple[Finding, ...]:
    """All findings on an engine, most serious first. layers: those of its artifact, with nodes that the rows lack."""
    layers = tuple(layers)
    checks = (lost_precision(layers), fused_away(layers), lone_qdq(rows), detours(rows), copies(rows), largest(rows))
    return tuple(finding for finding in checks if finding is not None)


def lost_precision(layers: Iterable[Layer]) -> Finding | None:
    """Convolutions and matrix products with another precision than requested."""
    lost = [layer for layer in layers if layer.requested and layer.obtained not in ("", layer.requested)]
    if not lost:
        return None
    named = ", ".join(f"{layer.name} ({layer.obtained})" for layer in lost[:3])
    return Finding("lost-precision", f"{len(lost)} nodes did not obtain the requested precision: {named}", names(lost))


def fused_away(layers: Sequence[Layer]) -> Finding | None:
    """Convolutions and matrix products without a layer of their own, so that their precision is unknown."""
    missing = [layer for layer in layers if layer.requested and not layer.obtained]
    if not missing or not any(layer.obtained for layer in layers):
        return None  # nothing is missing, or the model is not built yet
    named = ", ".join(names(missing[:3]))
    return Finding("fused-away", f"{len(missing)} nodes have no layer of their own: {named}", names(missing))


def lone_qdq(rows: Sequence[Row]) -> Finding | None:
    """Q/DQ that did not fuse with another layer."""
    alone = [row for row in rows if row.kind == "quantize"]
    if not alone:
        return None
    message = f"{len(alone)} Q/DQ did not fuse and run as separate layers{moved(alone)}"
    return Finding("lone-qdq", message, labels(alone))


def detours(rows: Sequence[Row]) -> Finding | None:
    """int8 layers that write a float activation which the next layer quantises to int8 again."""
    requantised = set(requantised_tensors(rows))
    wide = [
        row for row in rows if row.precision == "int8" and {tensor.name for tensor in row.layer.outputs} & requantised
    ]
    if not wide:
        return None
    size = total_bytes(tensor for row in wide for tensor in row.layer.outputs if tensor.name in requantised)
    written = "" if size is None else f"{size / 2**20:.1f} MiB "
    message = f"{len(wide)} int8 layers write {written}as float, which the next layer quantises to int8 again"
    return Finding("float-detour", message, labels(wide))


def requantised_tensors(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the names of float tensors that a layer without computation converts to int8."""
    for row in rows:
        if row.kind != "compute" and any(tensor.dtype == "int8" for tensor in row.layer.outputs):
            yield from (tensor.name for tensor in row.layer.inputs if tensor.dtype in WIDE)


def copies(rows: Sequence[Row]) -> Finding | None:
    """Layers that only move, reorder or cast."""
    moving = [row for row in rows if row.kind == "copy"]
    if not moving:
        return None
    message = f"{len(moving)} layers only reformat, copy or cast{moved(moving)}"
    return Finding("copies", message, labels(moving))


def largest(rows: Sequence[Row]) -> Finding | None:
    """The layers with the largest activations."""
    outputs = [(tensor, row) for row in rows for tensor in row.layer.outputs if tensor.bytes]
    if not outputs:
        return None
    top = sorted(outputs, key=lambda output: -output[0].bytes)[:LARGEST]
    named = ", ".join(
        f"{row.label} {'x'.join(map(str, tensor.shape))} {tensor.dtype} ({tensor.bytes / 2**20:.1f} MiB)"
        for tensor, row in top[:3]
    )
    return Finding("largest-activations", f"the largest activations: {named}", labels(row for _, row in top))


def labels(rows: Iterable[Row]) -> tuple[str, ...]:
    """The names of the layers of `rows`."""
    return tuple(dict.fromkeys(row.layer.name for row in rows))


def names(layers: Iterable[Layer]) -> tuple[str, ...]:
    """The names of `layers`."""
    return tuple(layer.name for layer in layers)


def moved(rows: Iterable[Row]) -> str:
    """The end of a message: what `rows` read and write; "" if it is unknown."""
    size = known_sum(row.activation_bytes for row in rows)
    return "" if size is None else f", which move {size / 2**20:.1f} MiB"

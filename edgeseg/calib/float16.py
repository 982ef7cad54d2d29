"""FP16 from ranges: the float graph with a float16 core, except where values or weights exceed float16."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from edgeseg.artifact import LoadedModel, Onnx, load_onnx, written_onnx
from edgeseg.calib.range import FP16_MAX, RangeTable
from edgeseg.calib.warnings import Warn, log_warning
from edgeseg.errors import FormatError, MismatchError
from edgeseg.files import sha256_from_file
from edgeseg.graph.core import Core, core_from_model
from edgeseg.graph.float16 import lossy_nodes, to_float16
from edgeseg.graph.identity import tensor_ids
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.provenance import RangeSource
from edgeseg.spec import Precision

# Two bits of headroom: other images may have larger values than those of the calibration, and the partial sums of a
# product may be larger than the product.
SAFE_ABSMAX = FP16_MAX / 4
MAX_NAMES = 4  # in a message


def fp16_from_ranges(onnx: Onnx, table: RangeTable | None, *, out: str | Path, warn: Warn = log_warning) -> LoadedModel:
    """Write the float ONNX `onnx` with a float16 core.

    Nodes that write or read a tensor above SAFE_ABSMAX in `table` stay float32, and so do nodes whose weights float16
    cannot represent. `warn` is called for both, and for a missing table. MismatchError where `table` is of another
    network.
    """
    source = load_onnx(onnx)
    path = source.path
    if source.precision is not Precision.FP32:
        raise FormatError(f"{path.name} is {source.precision} already", hint="name the fp32 ONNX that it was made from")
    model = source.graph()
    core = core_from_model(model)
    large = large_tensors(model, core, table, source.spec.name) if table else []
    lossy = list(lossy_nodes(core))
    for warning in fp16_warnings(path.name, table, large, lossy):
        warn(warning)
    float_nodes = frozenset(str(node.name) for node in {*neighbours(core, large), *lossy})
    provenance = replace(
        source.provenance,
        onnx_sha256=sha256_from_file(path),
        target="tensorrt",
        ranges=RangeSource(table.images, table.images_sha256) if table else source.provenance.ranges,
    )
    artifact = replace(source.artifact, path=Path(out), precision=Precision.FP16, provenance=provenance)
    return written_onnx(ir.to_proto(to_float16(model, keep=float_nodes)), artifact)


def large_tensors(model: ir.Model, core: Core, table: RangeTable, name: str) -> list[ir.Value]:
    """The activations that exceed SAFE_ABSMAX, in the graph's order. name: of the model, for messages."""
    table.check(model, name)
    ids = tensor_ids(model)
    large: list[ir.Value] = []
    for value in core.activations():
        stats = table.tensors.get(ids[str(value.name)])
        if stats is None:
            message = f"the range table of {table.model} has no range for tensor {value.name}"
            raise MismatchError(message, hint="make it again with edgeseg calibrate")
        if not stats.absmax <= SAFE_ABSMAX:
            large.append(value)
    return large


def neighbours(core: Core, values: Sequence[ir.Value]) -> Iterator[ir.Node]:
    """The nodes of the core that write or read `values`, also through an Identity."""
    connected = set(values)
    for node in core.nodes:
        if node.op_type == "Identity" and node.inputs[0] in connected:
            connected.add(node.outputs[0])
        if any(value in connected for value in (*node.inputs, *node.outputs)):
            yield node


def fp16_warnings(
    name: str, table: RangeTable | None, large: Sequence[ir.Value], lossy: Sequence[ir.Node]
) -> Iterator[Diagnostic]:
    """Warnings about the file `name` in float16."""
    if table is None:
        hint = f"run edgeseg calibrate {name} --images DIR, and name the table that it writes with --ranges"
        yield Diagnostic("fp16-unchecked", "float16 overflow was not checked: there is no range table", hint)
    if large:
        names = listed([str(value.name) for value in large])
        message = f"close to or above float16's largest number, {FP16_MAX:.0f}, so their layers stay fp32: {names}"
        yield Diagnostic("fp16-overflow", message, "a batch norm after these layers would keep the values small")
    if lossy:
        names = listed([str(node.name) for node in lossy])
        message = f"weights that float16 cannot represent, so these layers stay fp32: {names}"
        yield Diagnostic("fp16-weights", message, "look for infinite, very large or very small weights there")


def listed(names: Sequence[str]) -> str:
    """The first MAX_NAMES of `names`, and the number of the others."""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more

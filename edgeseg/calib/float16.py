"""FP16 from ranges: the float graph with a float16 core, where what was seen says that float16 can hold it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from edgeseg.artifact import LoadedModel, Onnx, load_onnx, written_onnx
from edgeseg.calib.range import FP16_MAX, RangeTable
from edgeseg.calib.warnings import Warn, log_caveat
from edgeseg.errors import FormatError, MismatchError
from edgeseg.files import sha256_from_file
from edgeseg.graph.core import Core, core_from_model
from edgeseg.graph.float16 import lossy_nodes, to_float16
from edgeseg.graph.identity import tensor_ids
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.provenance import RangeSource
from edgeseg.spec import Precision

# Two bits of room: the next picture may hold larger values than those of the calibration, and the partial sums of a
# product may be larger than the product.
SAFE_ABSMAX = FP16_MAX / 4
NAMED = 4  # as many names as a message lists


def fp16_from_ranges(onnx: Onnx, table: RangeTable | None, *, out: str | Path, warn: Warn = log_caveat) -> LoadedModel:
    """Write the float ONNX `onnx` with a float16 core.

    What makes or reads a tensor that exceeded SAFE_ABSMAX in `table` stays float32, and so does what has weights that
    float16 cannot hold; `warn` hears of both, and of a missing table. MismatchError where it is of another network.
    """
    source = load_onnx(onnx)
    path = source.path
    if source.precision is not Precision.FP32:
        raise FormatError(f"{path.name} is {source.precision} already", hint="take the fp32 ONNX it was made from")
    model = source.graph()
    core = core_from_model(model)
    large = large_tensors(model, core, table, source.spec.name) if table else []
    lossy = list(lossy_nodes(core))
    for caveat in doubts_of_half(path.name, table, large, lossy):
        warn(caveat)
    keep = frozenset(str(node.name) for node in {*nodes_beside(core, large), *lossy})
    provenance = replace(
        source.provenance,
        onnx_sha256=sha256_from_file(path),
        target="tensorrt",
        ranges=RangeSource(table.images, table.images_sha256) if table else source.provenance.ranges,
    )
    artifact = replace(source.artifact, path=Path(out), precision=Precision.FP16, provenance=provenance)
    return written_onnx(ir.to_proto(to_float16(model, keep=keep)), artifact)


def large_tensors(model: ir.Model, core: Core, table: RangeTable, name: str) -> list[ir.Value]:
    """The activations that exceeded SAFE_ABSMAX, in the graph's order. name: of the model, for messages."""
    table.check(model, name)
    ids = tensor_ids(model)
    found: list[ir.Value] = []
    for value in core.activations():
        stats = table.tensors.get(ids[str(value.name)])
        if stats is None:
            message = f"the range table of {table.model} has no range for tensor {value.name}"
            raise MismatchError(message, hint="edgeseg calibrate it again")
        if not stats.absmax <= SAFE_ABSMAX:
            found.append(value)
    return found


def nodes_beside(core: Core, values: Sequence[ir.Value]) -> Iterator[ir.Node]:
    """The nodes of the core that make or read `values`, also through an Identity."""
    beside = set(values)
    for node in core.nodes:
        if node.op_type == "Identity" and node.inputs[0] in beside:
            beside.add(node.outputs[0])
        if any(value in beside for value in (*node.inputs, *node.outputs)):
            yield node


def doubts_of_half(
    name: str, table: RangeTable | None, large: Sequence[ir.Value], lossy: Sequence[ir.Node]
) -> Iterator[Diagnostic]:
    """What is doubtful about the file `name` in float16."""
    if table is None:
        hint = f"edgeseg calibrate {name} --images DIR, and give the table that it writes"
        yield Diagnostic(
            "fp16-unchecked", "whether values overflow float16 was not checked: there is no range table", hint
        )
    if large:
        names = listed([str(value.name) for value in large])
        message = (
            f"near or above float16's largest number, {FP16_MAX:.0f}, so what makes and reads it stays fp32: {names}"
        )
        yield Diagnostic("fp16-overflow", message, "a batch norm behind these layers would keep them small")
    if lossy:
        names = listed([str(node.name) for node in lossy])
        message = f"weights that float16 cannot hold, so the layer stays fp32: {names}"
        yield Diagnostic("fp16-weights", message, "look for infinities, for huge or for vanishing weights there")


def listed(names: Sequence[str]) -> str:
    """The first of `names`, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more

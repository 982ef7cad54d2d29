"""What a tensor is, whatever its name: a hash of the operators, weights and wiring that it is computed by.

A Merkle tree over the core. It leaves out names, metadata, integer constants (shapes, sizes, axes), Resize's scales,
attributes that follow the input size, and the pre and post head. So one model has one set of ids at every input size,
with every head and on every machine. The constants of the normalisation are in the id of the core's input, since they
decide what enters the network.
"""

from __future__ import annotations

import hashlib
from typing import cast

import onnx_ir as ir

from edgeseg.graph.core import Core, constant, core_from_model, is_float

SIZE_INPUTS = {"Resize": 1, "Upsample": 1, "Reshape": 1, "Expand": 1, "Tile": 1, "Pad": 1}  # from this input on
SIZE_ATTRIBUTES = {"split", "num_outputs", "output_shape", "sizes", "scales"}
POOL_ATTRIBUTES = {"kernel_shape", "strides", "pads"}  # adaptive average pooling is exported with these
ID_LENGTH = 16


def tensor_ids(model: ir.Model) -> dict[str, str]:
    """Name -> id of every float tensor of the core, its input first."""
    core = core_from_model(model)
    ids = value_ids(core)
    return {str(value.name): ids[value] for value in core.activations()}


def graph_id(model: ir.Model) -> str:
    """The id of the whole core: a hash over the ids of its outputs."""
    core = core_from_model(model)
    ids = value_ids(core)
    return digest("graph", *(ids[value] for value in core.outputs))


def value_ids(core: Core) -> dict[ir.Value, str]:
    """Value -> id, for all that the core computes."""
    steps = (part for op, array in core.normalisation for part in (op, array.tobytes()))
    ids = {core.input: digest("input", *steps)}
    for node in core.nodes:
        if node.op_type == "Identity":
            ids[node.outputs[0]] = ids[cast(ir.Value, node.inputs[0])]
            continue
        own = digest(node.domain, node.op_type, *attribute_texts(node), *input_ids(node, ids))
        ids.update({value: digest(own, str(index)) for index, value in enumerate(node.outputs)})
    return ids


def input_ids(node: ir.Node, ids: dict[ir.Value, str]) -> list[str]:
    """The ids of what goes into `node`, in order; sizes count as nothing."""
    known = node.inputs[: SIZE_INPUTS.get(node.op_type, len(node.inputs))]
    return [operand_id(value, ids) for value in known]


def operand_id(value: ir.Value | None, ids: dict[ir.Value, str]) -> str:
    """The id of one operand: of an activation, of a float weight's shape and bytes, or of nothing."""
    if value is None:
        return ""
    if value in ids:
        return ids[value] if is_float(value) else "integer"
    array = constant(value)
    if array is not None and array.dtype.kind == "f":
        return digest(str(array.dtype), str(array.shape), array.tobytes())
    if array is None and is_float(value) and (node := value.producer()) is not None:  # computed from weights alone
        return digest(node.op_type, *attribute_texts(node), *input_ids(node, ids))
    return "integer"


def attribute_texts(node: ir.Node) -> list[str]:
    """Name and value of each attribute that does not follow the input size, sorted."""
    left_out = SIZE_ATTRIBUTES | (POOL_ATTRIBUTES if node.op_type == "AveragePool" else set())
    kept = [attribute for name, attribute in node.attributes.items() if name not in left_out]
    return sorted(f"{attribute.name}={attribute.value}" for attribute in kept)


def digest(*parts: str | bytes) -> str:
    """A short SHA-256 of `parts`, each with its length, so that no two lists of parts run together."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()[:ID_LENGTH]

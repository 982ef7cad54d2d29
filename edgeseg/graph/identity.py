"""An id for each tensor that does not depend on names: a hash of the operators and weights that compute it.

The ids form a Merkle tree over the core. They leave out names, metadata, integer constants (shapes, sizes, axes),
Resize's scales, attributes that follow the input size, preprocessing and postprocessing. So one model has the same ids
at every input size, with every output head and on every machine. The constants of the normalisation are part of the
id of the core's input, since they decide what enters the network.
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
    """Tensor name -> id, for every float tensor of the core, its input first."""
    core = core_from_model(model)
    ids = value_ids(core)
    return {str(value.name): ids[value] for value in core.activations()}


def graph_id(model: ir.Model) -> str:
    """The id of the whole core: a hash over the ids of its outputs."""
    core = core_from_model(model)
    ids = value_ids(core)
    return digest("graph", *(ids[value] for value in core.outputs))


def value_ids(core: Core) -> dict[ir.Value, str]:
    """Value -> id, for every value of the core."""
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
    """The ids of the inputs of `node`, in order, without those that hold sizes."""
    return [operand_id(value, ids) for value in node.inputs[: SIZE_INPUTS.get(node.op_type, len(node.inputs))]]


def operand_id(value: ir.Value | None, ids: dict[ir.Value, str]) -> str:
    """The id of one operand: an activation, a float weight (its shape and bytes), or "integer"."""
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
    """name=value of each attribute that does not depend on the input size, sorted."""
    left_out = SIZE_ATTRIBUTES | (POOL_ATTRIBUTES if node.op_type == "AveragePool" else set())
    return sorted(f"{name}={attribute.value}" for name, attribute in node.attributes.items() if name not in left_out)


def digest(*parts: str | bytes) -> str:
    """A short SHA-256 of `parts`. The length of each part is hashed, so that different lists give different digests."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()[:ID_LENGTH]

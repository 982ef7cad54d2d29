"""A graph of one picture of one size, freed: any number of pictures at once, or pictures of any size.

The symbolic dimensions are called N, H and W. N pictures give what N times one picture gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeseg.errors import MismatchError
from edgeseg.graph.axes import BATCH, Axes, axes_after, first, length, refusal
from edgeseg.graph.core import constant, typed
from edgeseg.graph.qdq import add_constant


def with_dynamic_batch(model: ir.Model) -> ir.Model:
    """Let `model`, whose input is (1, H, W, 3), take (N, H, W, 3), in place.

    MismatchError, naming the node, where pictures of a batch would mix; the model is of no more use then.
    """
    return freed(model, (BATCH, "", "", ""))


def with_dynamic_size(model: ir.Model) -> ir.Model:
    """Let `model`, whose input is (N, height, width, 3), take any H and W that its network takes, in place.

    MismatchError, naming the node, where the graph holds this size, as SegFormer's tokens and pooling pyramids do; the
    model is of no more use then.
    """
    return freed(model, ("", "H", "W", ""))


def freed(model: ir.Model, names: Axes) -> ir.Model:
    """Free the axes of the input that have a name, and all that follows from them."""
    typed(model)
    image = next(value for value in model.graph.inputs if value.name not in model.graph.initializers)
    check_frame(image, names)
    sides = {name: length(image, axis) for axis, name in enumerate(names) if name}
    known: dict[ir.Value, Axes] = {image: names}
    for node in list(model.graph):
        if any(value in known for value in node.inputs):
            if node.op_type == "Reshape":
                axes = free_reshape(model.graph, node, first(node, known))
            elif node.op_type == "Resize":
                axes = free_resize(model.graph, node, first(node, known))
            else:
                axes = axes_after(node, known)
            known.update(dict.fromkeys(node.outputs, axes))
    for value, axes in known.items():
        value.shape = ir.Shape([freed_length(value, axis, name, sides) for axis, name in enumerate(axes)])
    RemoveUnusedNodesPass()(model)
    return model


def check_frame(image: ir.Value, names: Axes) -> None:
    """Raise MismatchError unless the axes to be freed are fixed, and the batch 1."""
    shape = image.shape
    fixed = shape is not None and len(shape) == len(names)
    wanted = [length(image, axis) for axis, name in enumerate(names) if name] if fixed else [None]
    if None in wanted or (BATCH in names and wanted != [1]):
        hint = "take the ONNX that edgeseg export writes: (1, H, W, 3)"
        raise MismatchError(f"input {image.name} is {shape}, and cannot be freed", hint=hint)


def freed_length(value: ir.Value, axis: int, name: str, sides: dict[str, int | None]) -> int | str | None:
    """How long an axis is from now on: as it was, "N", "H", or "H/8" where it is an eighth of the picture's."""
    old = None if value.shape is None else value.shape[axis]
    if not name:
        return old if isinstance(old, int) else getattr(old, "value", None)
    side = sides[name]
    if name == BATCH or old == side:
        return name
    return f"{name}/{side // old}" if isinstance(old, int) and side and side % old == 0 else None


def free_reshape(graph: ir.Graph, node: ir.Node, axes: Axes) -> Axes:
    """Let a Reshape that starts with the batch copy it; one of tensors that follow nothing may stay."""
    shape = constant(node.inputs[1])
    rank = len(node.outputs[0].shape or ())
    name = next((name for name in axes if name and name != BATCH), "")
    if not any(axes):
        return ("",) * rank
    if name or shape is None or axes[0] != BATCH or shape[0] not in (0, 1):
        raise refusal(node, name or BATCH, "holds the shape of what it gives")
    if shape[0] == 1:
        target = add_constant(graph, f"{node.name}/shape", np.array([0, *shape[1:]], np.int64))
        node.replace_input_with(1, target)
        node.attributes.pop("allowzero", None)
    return (BATCH, *("" for _ in range(rank - 1)))


def free_resize(graph: ir.Graph, node: ir.Node, axes: Axes) -> Axes:
    """Let a Resize to a size enlarge by a factor, where no rounding can change what that gives."""
    name = next(filter(None, axes), "H")  # nothing follows the picture behind a global pooling: a size is being freed
    sizes = constant(node.inputs[3]) if len(node.inputs) > 3 else None
    scales = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if sizes is None and scales is None:
        raise refusal(node, name, "computes the size of what it gives")
    if sizes is None or ("axes" in node.attributes and name == BATCH):
        return axes
    before = [length(node.inputs[0], axis) for axis in range(len(axes))]
    after = [int(size) for size in sizes]
    if name != BATCH and not ("axes" not in node.attributes and all(map(is_factor, before, after, axes))):
        raise refusal(node, name, "holds the size of what it gives")
    factors = exact_factors(before, after)
    if factors is None:
        node.replace_input_with(3, sizes_of_batch(graph, node, after))
        return axes
    node.replace_input_with(2, add_constant(graph, f"{node.name}/scales", factors))
    node.replace_input_with(3, None)
    node.resize_inputs(3)
    return axes


def is_factor(before: int | None, after: int, name: str) -> bool:
    """Whether `after` is a whole multiple or part of `before` on an axis with a name, and the same on any other."""
    if before is None:
        return name == ""  # the batch, freed before
    return before == after if not name else after % before == 0 or before % after == 0


def exact_factors(before: Sequence[int | None], after: Sequence[int]) -> np.ndarray | None:
    """The factors as float32, if every runtime finds `after` with them; None if a rounding may give one less."""
    lengths = [b or a for a, b in zip(after, before)]
    factors = np.divide(after, lengths).astype(np.float32)
    exact = factors.astype(np.float64) * lengths == after
    return factors if exact.all() else None


def sizes_of_batch(graph: ir.Graph, node: ir.Node, sizes: Sequence[int]) -> ir.Value:
    """(N, *sizes[1:]), with N from what enters `node`."""
    count = ir.node("Shape", [node.inputs[0]], {"start": 0, "end": 1}, name=f"{node.name}/Shape")
    rest = add_constant(graph, f"{node.name}/sizes", np.array(sizes[1:], np.int64))
    joined = ir.node("Concat", [count.outputs[0], rest], {"axis": 0}, name=f"{node.name}/Concat")
    for made, size in ((count, 1), (joined, len(sizes))):
        made.outputs[0].name, made.outputs[0].dtype, made.outputs[0].shape = (
            made.name,
            ir.DataType.INT64,
            ir.Shape([size]),
        )
    graph.insert_before(node, [count, joined])
    return joined.outputs[0]

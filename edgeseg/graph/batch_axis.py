"""Which axis of a tensor is the batch, operator by operator: images of a batch may never mix."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

import onnx_ir as ir

from edgeseg.errors import MismatchError
from edgeseg.graph.core import constant

BatchAxes = Mapping[ir.Value, int]  # of every tensor that depends on the input image
BATCH = "N"
LAST = (1 << 31) - 1  # from here on the end of a Slice means: to the end


def refusal(node: ir.Node, reason: str) -> MismatchError:
    """The error for a graph in which `node` does not allow a batch."""
    return MismatchError(
        f"this graph does not take a batch: {node.op_type} {node.name} {reason}",
        hint="build it without --batch",
        code="ES-MISMATCH-BATCH",
    )


def batch_axis_of(node: ir.Node, batch_axes: BatchAxes) -> int:
    """The batch axis of the outputs of `node`. MismatchError where `node` mixes images or has no rule here."""
    if node.op_type not in RULES or node.domain:
        raise refusal(node, "is an operator without a rule for batches")
    if node.outputs[0].shape is None:
        raise refusal(node, "has an output of unknown shape")
    return RULES[node.op_type](node, batch_axes)


def first(node: ir.Node, batch_axes: BatchAxes) -> int:
    """The batch axis of the first input, for operators that keep it."""
    value = node.inputs[0]
    if value is None or value not in batch_axes:
        raise refusal(node, "has a first input that does not depend on the image")
    return batch_axes[value]


def rank(node: ir.Node) -> int:
    """The number of axes of the first input."""
    value = node.inputs[0]
    return 0 if value is None or value.shape is None else len(value.shape)


def length(value: ir.Value | None, axis: int) -> int | None:
    """The length of an axis; None where it is unknown."""
    size = None if value is None or value.shape is None else value.shape[axis]
    return size if isinstance(size, int) else None


def shape_with_batch(value: ir.Value, batch_axes: BatchAxes) -> list[int | str | None]:
    """The length of each axis, and BATCH for the batch axis."""
    array = constant(value)
    axes = range(len(value.shape or ()))
    shape: list[int | str | None] = [length(value, axis) for axis in axes] if array is None else [*array.shape]
    if value in batch_axes:
        shape[batch_axes[value]] = BATCH
    return shape


def broadcast(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Elementwise operators of several inputs."""
    return broadcast_axis(node, [shape_with_batch(value, batch_axes) for value in node.inputs if value is not None])


def broadcast_axis(node: ir.Node, shapes: Sequence[Sequence[int | str | None]]) -> int:
    """The batch axis of broadcast `shapes`: there every input has the batch or length 1."""
    columns = list(zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1))
    positions = [position for position, column in enumerate(columns) if BATCH in column]
    if len(positions) != 1 or set(columns[positions[0]]) - {BATCH, 1}:
        raise refusal(node, "has an input of fixed size")
    return len(columns) - 1 - positions[0]


def batch_first(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Convolutions, poolings and normalisations: the batch is the first axis."""
    if first(node, batch_axes) != 0:
        raise refusal(node, "works along the batch axis")
    return 0


def along(default: int) -> Callable[[ir.Node, BatchAxes], int]:
    """Operators that work along the attribute "axis"."""

    def rule(node: ir.Node, batch_axes: BatchAxes) -> int:
        batch_axis, before = first(node, batch_axes), rank(node)
        axis = node.attributes.get_int("axis", default) % before
        if axis == batch_axis:
            raise refusal(node, "works along the batch axis")
        added = len(node.outputs[0].shape or ()) - before  # Gather puts the axes of its indices there
        return batch_axis + (added if axis < batch_axis else 0)

    return rule


def layer_normalization(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Normalises from an axis to the last one."""
    batch_axis = first(node, batch_axes)
    if batch_axis >= node.attributes.get_int("axis", -1) % rank(node):
        raise refusal(node, "works along the batch axis")
    return batch_axis


def concatenate(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Joins along another axis than the batch; each input has the batch."""
    positions = {batch_axes[value] for value in node.inputs if value in batch_axes}
    if len(positions) > 1 or any(value not in batch_axes for value in node.inputs):
        raise refusal(node, "has an input of fixed size")
    (batch_axis,) = positions
    if batch_axis == node.attributes.get_int("axis") % rank(node):
        raise refusal(node, "joins tensors along the batch axis")
    return batch_axis


def elements(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Takes or puts elements along another axis than the batch; data, indices and updates each have the batch."""
    batch_axis = first(node, batch_axes)
    if {batch_axes.get(value) for value in node.inputs if value is not None} != {batch_axis}:
        raise refusal(node, "has an input of fixed size")
    if batch_axis == node.attributes.get_int("axis", 0) % rank(node):
        raise refusal(node, "works along the batch axis")
    return batch_axis


def expand(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Repeats along other axes than the batch, whose length in the target shape is 1."""
    target = constant(node.inputs[1])
    if target is None:
        raise refusal(node, "has a shape that is not constant")
    return broadcast_axis(node, [shape_with_batch(node.inputs[0], batch_axes), [int(side) for side in target]])


def transpose(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Puts the axes into another order."""
    axes = range(rank(node))
    return list(node.attributes.get_ints("perm", axes[::-1])).index(first(node, batch_axes))


def axes_argument(node: ir.Node, index: int) -> list[int] | None:
    """The axes in the attribute "axes" of `node` or in its input `index`; None where there are none."""
    if "axes" in node.attributes:
        return list(node.attributes.get_ints("axes"))
    array = constant(node.inputs[index]) if len(node.inputs) > index else None
    return None if array is None else [int(axis) for axis in array.reshape(-1)]


def reduce(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Sums, means and extremes."""
    batch_axis, before = first(node, batch_axes), rank(node)
    axes = axes_argument(node, 1)
    if node.op_type.startswith("Arg"):
        axes = [node.attributes.get_int("axis", 0)]
    reduced = {axis % before for axis in (range(before) if axes is None else axes)}
    if batch_axis in reduced:
        raise refusal(node, "mixes the images of a batch")
    if node.attributes.get_int("keepdims", 1):
        return batch_axis
    return batch_axis - sum(axis < batch_axis for axis in reduced)


def squeeze(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Removes the axes of length 1 that it names."""
    batch_axis, before, axes = first(node, batch_axes), rank(node), axes_argument(node, 1)
    removed = {axis % before for axis in (range(before) if axes is None else axes)}
    if batch_axis in removed:
        raise refusal(node, "removes the batch axis")
    return batch_axis - sum(axis < batch_axis for axis in removed)


def unsqueeze(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Adds axes of length 1."""
    axes = axes_argument(node, 1) or []
    after = rank(node) + len(axes)
    added = {axis % after for axis in axes}
    return [axis for axis in range(after) if axis not in added][first(node, batch_axes)]


def slice_(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Takes a part along other axes than the batch."""
    batch_axis, before = first(node, batch_axes), rank(node)
    starts, ends = (constant(value) for value in node.inputs[1:3])
    axes = axes_argument(node, 3)
    for number, axis in enumerate(range(before) if axes is None else axes):
        is_whole = starts is not None and ends is not None and starts[number] == 0 and ends[number] >= LAST
        if axis % before == batch_axis and not is_whole:
            raise refusal(node, "slices the batch axis")
    return batch_axis


def pad(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Adds a border along other axes than the batch."""
    batch_axis, before = first(node, batch_axes), rank(node)
    amounts, axes = constant(node.inputs[1]), axes_argument(node, 3)
    padded = list(range(before)) if axes is None else [axis % before for axis in axes]
    if amounts is None or any(amount and axis == batch_axis for amount, axis in zip(amounts, padded * 2)):
        raise refusal(node, "pads the batch axis")
    return batch_axis


def matrix_product(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Broadcasts all axes but those that are summed over."""
    left, right = (shape_with_batch(value, batch_axes) for value in node.inputs if value is not None)
    if len(left) < 2 or len(right) < 2:
        raise refusal(node, "multiplies a vector")
    if BATCH in (left[-1], right[-2]):
        raise refusal(node, "sums along the batch axis")
    return broadcast_axis(node, [[*left[:-1], 1], [*right[:-2], 1, right[-1]]])


def gemm(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Multiplies one row per image by a weight."""
    is_row = batch_first(node, batch_axes) == 0 and not node.attributes.get_int("transA", 0)
    if not is_row or any(value in batch_axes for value in node.inputs[1:]):
        raise refusal(node, "mixes rows")
    return 0


def flatten(node: ir.Node, batch_axes: BatchAxes) -> int:
    """Gives one row per image."""
    if first(node, batch_axes) != 0 or node.attributes.get_int("axis", 1) != 1:
        raise refusal(node, "merges the batch axis with others")
    return 0


ELEMENTWISE = """Identity Cast Relu LeakyRelu Elu Celu Selu ThresholdedRelu Sigmoid HardSigmoid HardSwish Tanh Softplus
    Softsign Gelu Mish Erf Exp Log Sqrt Abs Neg Reciprocal Sign Floor Ceil Round Not Sin Cos Clip Dropout
    QuantizeLinear DequantizeLinear"""
BATCH_FIRST = """BatchNormalization InstanceNormalization GroupNormalization LRN Conv ConvTranspose MaxPool AveragePool
    GlobalAveragePool GlobalMaxPool DepthToSpace SpaceToDepth"""
BROADCASTING = """Add Sub Mul Div Pow Max Min Mean Sum Where PRelu Mod And Or
    Equal Greater Less GreaterOrEqual LessOrEqual"""
REDUCING = """ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp
    ArgMax ArgMin"""
RULES: dict[str, Callable[[ir.Node, BatchAxes], int]] = {
    **dict.fromkeys(ELEMENTWISE.split(), first),
    **dict.fromkeys(BATCH_FIRST.split(), batch_first),
    **dict.fromkeys(BROADCASTING.split(), broadcast),
    **dict.fromkeys(REDUCING.split(), reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), along(default=-1)),
    **dict.fromkeys(("Split", "Gather"), along(default=0)),
    **dict.fromkeys(("GatherElements", "ScatterElements"), elements),
    "TopK": along(default=-1),
    "Expand": expand,
    "LayerNormalization": layer_normalization,
    "Concat": concatenate,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Slice": slice_,
    "Pad": pad,
    "MatMul": matrix_product,
    "Gemm": gemm,
    "Flatten": flatten,
}

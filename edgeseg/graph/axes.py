"""Which axes of a tensor follow the batch, the height or the width of the picture, operator by operator.

An axis has the name "N", "H" or "W" where its length follows that of the graph's input, and "" where it is fixed. What
an operator does along an axis decides: pictures of a batch may never meet, and along a side a weight has no length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

import onnx_ir as ir

from edgeseg.errors import MismatchError
from edgeseg.graph.core import constant

Axes = tuple[str, ...]
Known = Mapping[ir.Value, Axes]
BATCH = "N"
ALONE = "build it for one picture at a time, with no batch"
ONE_SIZE = "build one engine a size: edgeseg export --size WIDTHxHEIGHT, for each"
LAST = (1 << 31) - 1  # from here on the end of a Slice means: to the end


def refusal(node: ir.Node, axis: str, why: str) -> MismatchError:
    """The error for a graph in which `node` keeps the axis named `axis` as long as it is."""
    what = "a batch" if axis == BATCH else "another size"
    return MismatchError(
        f"this graph does not take {what}: {node.op_type} {node.name} {why}", hint=ALONE if axis == BATCH else ONE_SIZE
    )


def axes_after(node: ir.Node, known: Known) -> Axes:
    """The axes of what `node` gives. known: of every input that depends on the picture.

    MismatchError where an axis with a name cannot change, or where nobody here knows.
    """
    named = next(name for value in node.inputs if value in known for name in (*known[value], BATCH) if name)
    if node.op_type not in RULES or node.domain:
        raise refusal(node, named, "is an operator that it is not known for")
    found = RULES[node.op_type](node, known)
    if node.outputs[0].shape is None or len(found) != len(node.outputs[0].shape):
        raise refusal(node, named, "gives a tensor of unknown shape")
    return found


def first(node: ir.Node, known: Known) -> Axes:
    """The axes of the one input that depends on the picture."""
    value = node.inputs[0]
    if value is None or value not in known:
        raise refusal(node, BATCH, "computes its first input from elsewhere")
    return known[value]


def length(value: ir.Value | None, axis: int) -> int | None:
    """How long an axis is; None where that is not known."""
    size = None if value is None or value.shape is None else value.shape[axis]
    return size if isinstance(size, int) else None


def broadcast(node: ir.Node, known: Known) -> Axes:
    """Operators that compare positions."""
    return met(node, [axis_lengths(value, known) for value in node.inputs if value is not None])


def met(node: ir.Node, shapes: Sequence[Sequence[tuple[str, int | None]]]) -> Axes:
    """The axes of broadcast `shapes`: where one follows the picture, each other has to as well, or has length 1."""
    found = []
    for column in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=("", 1)):
        names = {name for name, _ in column if name}
        if len(names) > 1 or (names and any(not name and size != 1 for name, size in column)):
            raise refusal(node, min(names), "has an input of fixed size")
        found.append(names.pop() if names else "")
    return tuple(reversed(found))


def axis_lengths(value: ir.Value, known: Known) -> list[tuple[str, int | None]]:
    """Name and length of each axis."""
    array = constant(value)
    sizes = array.shape if array is not None else [length(value, axis) for axis in range(len(value.shape or ()))]
    return list(zip(known.get(value, ("",) * len(sizes)), sizes))


def channelled(node: ir.Node, known: Known) -> Axes:
    """A batch in front, a weight for each channel behind it, then sides of any length."""
    axes = first(node, known)
    if name := axes[1] or (BATCH if BATCH in axes[2:] else ""):
        raise refusal(node, name, "works along that axis")
    return axes


def slides(node: ir.Node, known: Known) -> Axes:
    """Convolutions and poolings. An average over a window that follows the size is no pooling of any other size."""
    axes = channelled(node, known)
    kernel = tuple(node.attributes.get_ints("kernel_shape", ()))
    sides = tuple(length(node.inputs[0], axis) for axis in range(2, len(axes)))
    unlike = node.op_type == "AveragePool" and len(set(kernel)) > 1
    if "Pool" in node.op_type and any(axes[2:]) and (unlike or (kernel == sides and max(kernel) > 1)):
        raise refusal(node, next(filter(None, axes[2:])), "averages windows that are cut to this size")
    return axes


def global_pool(node: ir.Node, known: Known) -> Axes:
    """One position is left."""
    axes = first(node, known)
    return (*axes[:2], *("" for _ in axes[2:]))


def along(*, default: int, closed: bool) -> Callable[[ir.Node, Known], Axes]:
    """Operators that work along the attribute "axis". closed: not even along a side, since they count positions."""

    def rule(node: ir.Node, known: Known) -> Axes:
        axes = first(node, known)
        name = axes[node.attributes.get_int("axis", default)]
        if name == BATCH or (closed and name):
            raise refusal(node, name, "works along that axis")
        return axes

    return rule


def layer_norm(node: ir.Node, known: Known) -> Axes:
    """From an axis on to the last, and a weight for each position there."""
    axes = first(node, known)
    if name := next(filter(None, axes[node.attributes.get_int("axis", -1) :]), ""):
        raise refusal(node, name, "works along that axis")
    return axes


def concatenate(node: ir.Node, known: Known) -> Axes:
    """Joined along an axis that follows nothing; the others agree."""
    rows = [known[value] for value in node.inputs if value in known]
    axis = node.attributes.get_int("axis") % len(rows[0])
    for name in (row[axis] for row in rows):
        if name:
            raise refusal(node, name, "joins tensors along that axis")
    if (len(rows) < len(node.inputs) or len(set(rows)) > 1) and any(map(any, rows)):
        raise refusal(node, next(name for row in rows for name in row if name), "has an input of fixed size")
    return rows[0]


def transpose(node: ir.Node, known: Known) -> Axes:
    """The axes in their new order."""
    axes = first(node, known)
    return tuple(axes[axis] for axis in node.attributes.get_ints("perm", range(len(axes))[::-1]))


def axes_argument(node: ir.Node, index: int) -> list[int] | None:
    """The axes that `node` names in its attribute or its input `index`; None where it names none."""
    if "axes" in node.attributes:
        return list(node.attributes.get_ints("axes"))
    array = constant(node.inputs[index]) if len(node.inputs) > index else None
    return None if array is None else [int(axis) for axis in array.reshape(-1)]


def reduce(node: ir.Node, known: Known) -> Axes:
    """Sums, means and extremes: right along a side of any length, and wrong over a batch."""
    axes = first(node, known)
    wanted = axes_argument(node, 1)
    if node.op_type.startswith("Arg"):
        wanted = [node.attributes.get_int("axis", 0)]
    gone = {axis % len(axes) for axis in (range(len(axes)) if wanted is None else wanted)}
    if any(axes[axis] == BATCH for axis in gone):
        raise refusal(node, BATCH, "mixes the pictures of a batch")
    kept = bool(node.attributes.get_int("keepdims", 1))
    return tuple("" if axis in gone else name for axis, name in enumerate(axes) if kept or axis not in gone)


def squeeze(node: ir.Node, known: Known) -> Axes:
    """Without the axes of length 1 that it names."""
    axes, wanted = first(node, known), axes_argument(node, 1)
    gone = range(len(axes)) if wanted is None else {axis % len(axes) for axis in wanted}
    if name := next((axes[axis] for axis in gone if axes[axis]), ""):
        raise refusal(node, name, "takes that axis away")
    return tuple(name for axis, name in enumerate(axes) if axis not in gone)


def unsqueeze(node: ir.Node, known: Known) -> Axes:
    """With new axes of length 1."""
    axes, wanted = first(node, known), axes_argument(node, 1) or []
    rank = len(axes) + len(wanted)
    new, rest = {axis % rank for axis in wanted}, iter(axes)
    return tuple("" if axis in new else next(rest) for axis in range(rank))


def cut(node: ir.Node, known: Known) -> Axes:
    """Slice: from the first to the last position of an axis that follows the picture, or not at all."""
    axes = first(node, known)
    starts, ends = (constant(value) for value in node.inputs[1:3])
    wanted = axes_argument(node, 3)
    for number, axis in enumerate(range(len(axes)) if wanted is None else wanted):
        whole = starts is not None and ends is not None and starts[number] == 0 and ends[number] >= LAST
        if axes[axis] and not whole:
            raise refusal(node, axes[axis], "cuts that axis")
    return axes


def pad(node: ir.Node, known: Known) -> Axes:
    """A border, but no further pictures."""
    axes, amounts, wanted = first(node, known), constant(node.inputs[1]), axes_argument(node, 3)
    order = list(range(len(axes))) if wanted is None else [axis % len(axes) for axis in wanted]
    if amounts is None or any(amount and axes[axis] == BATCH for amount, axis in zip(amounts, order * 2)):
        raise refusal(node, BATCH, "pads that axis")
    return axes


def matrix_product(node: ir.Node, known: Known) -> Axes:
    """Rows of the first by columns of the second; what is summed over follows nothing."""
    left, right = (axis_lengths(value, known) for value in node.inputs if value is not None)
    if len(left) < 2 or len(right) < 2:
        raise refusal(node, BATCH, "multiplies a vector")
    if name := left[-1][0] or right[-2][0]:
        raise refusal(node, name, "sums along that axis")
    return (*met(node, [left[:-2], right[:-2]]), left[-2][0], right[-1][0])


def gemm(node: ir.Node, known: Known) -> Axes:
    """A row a picture, times a weight."""
    axes = first(node, known)
    if any(value in known for value in node.inputs[1:]) or axes[1] or node.attributes.get_int("transA", 0):
        raise refusal(node, BATCH, "mixes rows")
    return axes


def flatten(node: ir.Node, known: Known) -> Axes:
    """A row a picture."""
    axes = first(node, known)
    if node.attributes.get_int("axis", 1) != 1 or any(axes[1:]):
        raise refusal(node, next(filter(None, axes)), "merges that axis with others")
    return (axes[0], "")


SAME = """Identity Cast Relu LeakyRelu Elu Celu Selu ThresholdedRelu Sigmoid HardSigmoid HardSwish Tanh Softplus
    Softsign Gelu Mish Erf Exp Log Sqrt Abs Neg Reciprocal Sign Floor Ceil Round Not Sin Cos Clip Dropout
    QuantizeLinear DequantizeLinear"""
CHANNELLED = ("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN")
SLIDING = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "DepthToSpace", "SpaceToDepth")
MEETING = """Add Sub Mul Div Pow Max Min Mean Sum Where PRelu Mod And Or
    Equal Greater Less GreaterOrEqual LessOrEqual"""
REDUCING = """ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp
    ArgMax ArgMin"""
RULES: dict[str, Callable[[ir.Node, Known], Axes]] = {
    **dict.fromkeys(SAME.split(), first),
    **dict.fromkeys(MEETING.split(), broadcast),
    **dict.fromkeys(CHANNELLED, channelled),
    **dict.fromkeys(SLIDING, slides),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), global_pool),
    **dict.fromkeys(REDUCING.split(), reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), along(default=-1, closed=False)),
    **dict.fromkeys(("Split", "Gather"), along(default=0, closed=True)),
    "LayerNormalization": layer_norm,
    "Concat": concatenate,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Slice": cut,
    "Pad": pad,
    "MatMul": matrix_product,
    "Gemm": gemm,
    "Flatten": flatten,
}

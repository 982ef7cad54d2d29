"""The outputs: which to keep, and what each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.errors import FormatError, MismatchError, UnknownNameError
from edgeseg.graph.adopt.picture import Picture, described, shape_of
from edgeseg.graph.adopt.request import AdoptionRequest, Fact
from edgeseg.graph.adopt.source import Source
from edgeseg.labels import labels_from_names, unnamed_labels
from edgeseg.spec import LabelSet, Output

Array = NDArray[Any]
RENAMES = {"Cast", "Squeeze", "Unsqueeze", "Reshape", "Identity"}  # what may stand between an ArgMax and the output
PLANAR, INTERLEAVED = "NCHW", "NHWC"
MOST_CLASSES = 255
Reading = tuple[str, int, int, int]  # layout, channels, height, width


@dataclass(frozen=True)
class Head:
    """One output. shape: as it comes. channels: 1 for a mask. classes: 0 where a mask does not say.

    probability: whether its one channel is a probability and no logit.
    """

    name: str
    shape: tuple[int, ...]
    output: Output
    layout: str
    channels: int
    height: int
    width: int
    classes: int
    probability: bool = False

    @property
    def is_foreground(self) -> bool:
        """Whether it tells one thing from the background: one channel or two."""
        return self.output is Output.LOGITS and self.channels <= 2

    def planar(self, array: Array) -> Array:
        """What came out, as (channels, h, w)."""
        if self.layout == PLANAR:
            return array.reshape(self.channels, self.height, self.width)
        return array.reshape(self.height, self.width, self.channels).transpose(2, 0, 1)

    def fact(self) -> Fact:
        """What it is, and how that was seen."""
        value = f"{self.output} {self.width}x{self.height}"
        if self.output is Output.LOGITS:
            value += f", {self.channels} channel{'s' * (self.channels > 1)}, {self.layout}"
        if self.probability:
            return Fact(f"output {self.name}", f"{value}, probability", "its shape, and values of 0..1 on every frame")
        return Fact(f"output {self.name}", value, f"its shape {described(self.shape)}")


def chosen_outputs(source: Source, wishes: AdoptionRequest) -> tuple[str, ...]:
    """The names of the outputs to keep. FormatError, with their shapes and what to type, where that is open."""
    known = [value.name for value in source.proto.graph.output]
    if not known:
        raise FormatError(f"{source.path.name} has no output", hint="export it with its logits or its mask as output")
    for name in wishes.outputs:
        if name not in known:
            raise UnknownNameError.among("output", name, known)
    if wishes.outputs:
        return tuple(dict.fromkeys(wishes.outputs))
    if len(known) > 1:
        listed = ", ".join(f"{value.name} {described(shape_of(value))}" for value in source.proto.graph.output)
        both = " ".join(f"--output {name}" for name in known)
        hint = f"choose one: --output {known[0]}; or join heads of one foreground class each: {both}"
        raise FormatError(f"{source.path.name} has {len(known)} outputs: {listed}", hint=hint)
    return (known[0],)


def head_of(name: str, value: ir.Value, arrays: Sequence[Array], picture: Picture, wishes: AdoptionRequest) -> Head:
    """What the output `name` is, by its shape, the nodes before `value`, and what it gave on the check frames."""
    shape = tuple(int(side) for side in arrays[0].shape)
    is_mask = argmax_before(value) is not None or arrays[0].dtype.kind in "iub"
    dims = shape[1:] if len(shape) > 2 and shape[0] == 1 else shape
    found = [
        (layout, channels, height, width)
        for layout, channels, height, width in readings(dims)
        if fits(height, width, picture) and channels <= (1 if is_mask else MOST_CLASSES)
    ]
    if not found:
        message = f"output {name} has the shape {described(shape)}: no mask and no logits of a picture"
        raise FormatError(message, hint=f"adopt takes (N, C, h, w), (N, h, w, C) or (N, h, w) for {size(picture)}")
    layout, channels, height, width = likeliest(found, picture, wishes)
    is_mask = is_mask or (channels == 1 and are_ids(value, arrays))
    classes = mask_classes(value, arrays) if is_mask else channels
    output = Output.MASK if is_mask else Output.LOGITS
    probability = channels == 1 and not is_mask and are_probabilities(arrays)
    return Head(name, shape, output, layout, channels, height, width, classes, probability)


def readings(dims: tuple[int, ...]) -> list[Reading]:
    """Every way to read an output without its batch."""
    if len(dims) == 2:
        return [(PLANAR, 1, dims[0], dims[1])]
    if len(dims) != 3:
        return []
    a, b, c = dims
    return [(PLANAR, a, b, c), (INTERLEAVED, c, a, b)]


def fits(height: int, width: int, picture: Picture) -> bool:
    """Whether a map of this size has the picture's proportions, to a pixel of rounding."""
    slack = max(picture.height, picture.width)
    return abs(height * picture.width - width * picture.height) <= slack and height <= picture.height


def likeliest(found: list[Reading], picture: Picture, wishes: AdoptionRequest) -> Reading:
    """Of several readings the one with as many channels as labels, then of the best proportions and the own layout."""

    def unlikeliness(reading: Reading) -> tuple[bool, float, bool]:
        layout, channels, height, width = reading
        other_count = wishes.labels is not None and channels != len(wishes.labels)
        misfit = abs(height * picture.width - width * picture.height) / (height * picture.width)
        return other_count, misfit, layout != picture.layout.upper()

    return min(found, key=unlikeliness)


def size(picture: Picture) -> str:
    """WIDTHxHEIGHT of the input."""
    return f"{picture.width}x{picture.height}"


def argmax_before(value: ir.Value) -> ir.Node | None:
    """The ArgMax that `value` is a copy of, if any."""
    node = value.producer()
    while node is not None and node.op_type in RENAMES and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node if node is not None and node.op_type == "ArgMax" else None


def are_ids(value: ir.Value, arrays: Sequence[Array]) -> bool:
    """Whether floats are class ids: whole numbers on every frame, and not from a Sigmoid, which may saturate."""
    node = value.producer()
    saturates = node is not None and node.op_type == "Sigmoid"
    return not saturates and all(np.array_equal(array, np.round(array)) and array.min() >= 0 for array in arrays)


def are_probabilities(arrays: Sequence[Array]) -> bool:
    """Whether one channel stays within 0..1 on every frame, as behind a Sigmoid."""
    return all(array.min() >= 0 and array.max() <= 1 for array in arrays)


def mask_classes(value: ir.Value, arrays: Sequence[Array]) -> int:
    """How many classes a mask has: what its ArgMax chooses from, 2 for truth values, 0 where nothing says."""
    if arrays[0].dtype.kind == "b":
        return 2
    node = argmax_before(value)
    logits = node.inputs[0] if node is not None else None
    if node is None or logits is None or logits.shape is None:
        return 0
    classes = logits.shape[node.attributes.get_int("axis", 0)]
    return classes if isinstance(classes, int) else 0


def check_joinable(heads: Sequence[Head]) -> None:
    """FormatError unless several heads can become one set of classes."""
    if len(heads) == 1:
        return
    for head in heads:
        if not head.is_foreground:
            what = "a mask" if head.output is Output.MASK else f"{head.channels} classes"
            message = f"output {head.name} gives {what}; only heads of one foreground class are joined"
            raise FormatError(message, hint=f"adopt it by itself: --output {head.name}")
    sizes = {(head.width, head.height) for head in heads}
    if len(sizes) > 1:
        listed = ", ".join(f"{head.name} {head.width}x{head.height}" for head in heads)
        hint = f"adopt one by itself: --output {heads[0].name}"
        raise FormatError(f"the heads to join are of different sizes: {listed}", hint=hint)


def labels_of(heads: Sequence[Head], wishes: AdoptionRequest, name: str) -> tuple[LabelSet, list[Fact]]:
    """The classes, and why. FormatError where the file with the labels has another number of them."""
    joined = len(heads) > 1 or (heads[0].channels == 1 and heads[0].output is Output.LOGITS)
    count = len(heads) + 1 if joined else heads[0].classes
    if wishes.labels is not None:
        if count not in (0, len(wishes.labels)):
            order = ", the background first" if joined else ", in the order of its ids"
            message = f"the labels name {len(wishes.labels)} classes, and {name} tells {count} apart"
            raise MismatchError(message, hint=f"write {count} names, one a line{order}")
        return wishes.labels, [Fact("classes", str(len(wishes.labels)), "told: --labels")]
    if not count:
        message = f"{name} gives a mask and does not say how many classes it has"
        raise FormatError(message, hint="add --labels FILE, with one name a line")
    if joined:
        foregrounds = [head.name for head in heads] if len(heads) > 1 else ["foreground"]
        return labels_from_names(["background", *foregrounds]), [
            Fact("classes", str(count), "the background, and one for each head; name them with --labels FILE")
        ]
    return unnamed_labels(count), [Fact("classes", str(count), "the output; name them with --labels FILE")]

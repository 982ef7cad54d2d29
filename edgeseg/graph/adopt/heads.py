"""The outputs of the network: which to keep, and what each of them holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.errors import FormatError, MismatchError, UnknownNameError
from edgeseg.graph.adopt.network_input import NetworkInput, shape_of, shape_text
from edgeseg.graph.adopt.request import AdoptionRequest, Property
from edgeseg.graph.adopt.source import Source
from edgeseg.graph.core import made_by
from edgeseg.labels import labels_from_names, unnamed_labels
from edgeseg.spec import LabelSet, Output

Array = NDArray[Any]
KEEPS_IDS = {"Cast", "Squeeze", "Unsqueeze", "Reshape", "Identity"}  # allowed between an ArgMax and the output
PLANAR, INTERLEAVED = "NCHW", "NHWC"
MOST_CLASSES = 255
Interpretation = tuple[str, int, int, int]  # layout, channels, height, width


@dataclass(frozen=True)
class Head:
    """One output of the network. shape: that of its array. channels: 1 for a mask. classes: 0 if unknown (a mask).

    probability: whether its single channel is a probability instead of a logit.
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
        """Whether it separates one class from the background, with one channel or two."""
        return self.output is Output.LOGITS and self.channels <= 2

    def planar(self, array: Array) -> Array:
        """The output `array` as (channels, h, w)."""
        if self.layout == PLANAR:
            return array.reshape(self.channels, self.height, self.width)
        return array.reshape(self.height, self.width, self.channels).transpose(2, 0, 1)

    def property(self) -> Property:
        """What the output holds, with the reason."""
        value = f"{self.output} {self.width}x{self.height}"
        if self.output is Output.LOGITS:
            value += f", {self.channels} channel{'s' * (self.channels > 1)}, {self.layout}"
        if self.probability:
            return Property(
                f"output {self.name}", f"{value}, probability", "its shape, and values of 0..1 on every frame"
            )
        return Property(f"output {self.name}", value, f"its shape {shape_text(self.shape)}")


def chosen_outputs(source: Source, request: AdoptionRequest) -> tuple[str, ...]:
    """The names of the outputs to keep. FormatError, with all shapes and the option to add, if the choice is open."""
    known = [value.name for value in source.proto.graph.output]
    if not known:
        raise FormatError(f"{source.path.name} has no output", hint="export it with its logits or its mask as output")
    for name in request.outputs:
        if name not in known:
            raise UnknownNameError.among("output", name, known)
    if request.outputs:
        return tuple(dict.fromkeys(request.outputs))
    if len(known) > 1:
        listed = ", ".join(f"{value.name} {shape_text(shape_of(value))}" for value in source.proto.graph.output)
        both = " ".join(f"--output {name}" for name in known)
        hint = f"choose one: --output {known[0]}; or join heads of one foreground class each: {both}"
        raise FormatError(f"{source.path.name} has {len(known)} outputs: {listed}", hint=hint, code="ES-OUTPUT")
    return (known[0],)


def read_head(
    name: str, value: ir.Value, arrays: Sequence[Array], network_input: NetworkInput, request: AdoptionRequest
) -> Head:
    """What the output `name` holds, from its shape, the nodes before `value`, and its arrays for the check frames."""
    shape = tuple(int(side) for side in arrays[0].shape)
    is_mask = argmax_before(value) is not None or arrays[0].dtype.kind in "iub"
    dims = shape[1:] if len(shape) > 2 and shape[0] == 1 else shape
    candidates = [
        (layout, channels, height, width)
        for layout, channels, height, width in interpretations(dims)
        if has_input_proportions(height, width, network_input) and channels <= (1 if is_mask else MOST_CLASSES)
    ]
    if not candidates:
        message = f"output {name} has the shape {shape_text(shape)}, which is neither a mask nor logits of the image"
        hint = f"adopt takes (N, C, h, w), (N, h, w, C) or (N, h, w) for {network_input.size}"
        raise FormatError(message, hint=hint, code="ES-OUTPUT")
    layout, channels, height, width = best_interpretation(candidates, network_input, request)
    is_mask = is_mask or (channels == 1 and are_ids(value, arrays))
    classes = mask_classes(value, arrays) if is_mask else channels
    output = Output.MASK if is_mask else Output.LOGITS
    probability = channels == 1 and not is_mask and are_probabilities(arrays)
    return Head(name, shape, output, layout, channels, height, width, classes, probability)


def interpretations(dims: tuple[int, ...]) -> list[Interpretation]:
    """All ways to interpret the shape of an output without its batch axis."""
    if len(dims) == 2:
        return [(PLANAR, 1, dims[0], dims[1])]
    if len(dims) != 3:
        return []
    a, b, c = dims
    return [(PLANAR, a, b, c), (INTERLEAVED, c, a, b)]


def has_input_proportions(height: int, width: int, network_input: NetworkInput) -> bool:
    """Whether a map of this size has the input's aspect ratio, up to a pixel of rounding."""
    slack = max(network_input.height, network_input.width)
    return abs(height * network_input.width - width * network_input.height) <= slack and height <= network_input.height


def best_interpretation(
    candidates: list[Interpretation], network_input: NetworkInput, request: AdoptionRequest
) -> Interpretation:
    """The candidate with as many channels as labels, then the nearest aspect ratio, then the layout of the input."""

    def penalty(candidate: Interpretation) -> tuple[bool, float, bool]:
        layout, channels, height, width = candidate
        other_count = request.labels is not None and channels != len(request.labels)
        misfit = abs(height * network_input.width - width * network_input.height) / (height * network_input.width)
        return other_count, misfit, layout != network_input.layout.upper()

    return min(candidates, key=penalty)


def argmax_before(value: ir.Value) -> ir.Node | None:
    """The ArgMax whose ids `value` holds, if any."""
    node = value.producer()
    while node is not None and node.op_type in KEEPS_IDS and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node if node is not None and node.op_type == "ArgMax" else None


def are_ids(value: ir.Value, arrays: Sequence[Array]) -> bool:
    """Whether floats are class ids: whole numbers on every frame, and not from a Sigmoid, which may saturate."""
    return not made_by(value, "Sigmoid") and all(
        np.array_equal(array, np.round(array)) and array.min() >= 0 for array in arrays
    )


def are_probabilities(arrays: Sequence[Array]) -> bool:
    """Whether one channel stays within 0..1 on every frame, as behind a Sigmoid."""
    return all(array.min() >= 0 and array.max() <= 1 for array in arrays)


def mask_classes(value: ir.Value, arrays: Sequence[Array]) -> int:
    """The number of classes of a mask: the channels of its ArgMax, 2 for booleans, 0 if unknown."""
    if arrays[0].dtype.kind == "b":
        return 2
    node = argmax_before(value)
    logits = node.inputs[0] if node is not None else None
    if node is None or logits is None or logits.shape is None:
        return 0
    classes = logits.shape[node.attributes.get_int("axis", 0)]
    return classes if isinstance(classes, int) else 0


def check_joinable(heads: Sequence[Head]) -> None:
    """FormatError if there are several heads and they cannot be joined."""
    if len(heads) == 1:
        return
    for head in heads:
        if not head.is_foreground:
            what = "a mask" if head.output is Output.MASK else f"{head.channels} classes"
            message = f"output {head.name} gives {what}; only heads of one foreground class can be joined"
            raise FormatError(message, hint=f"adopt it by itself: --output {head.name}", code="ES-OUTPUT")
    sizes = {(head.width, head.height) for head in heads}
    if len(sizes) > 1:
        listed = ", ".join(f"{head.name} {head.width}x{head.height}" for head in heads)
        hint = f"adopt one by itself: --output {heads[0].name}"
        raise FormatError(f"the heads to join have different sizes: {listed}", hint=hint, code="ES-OUTPUT")


def labels_of(heads: Sequence[Head], request: AdoptionRequest, name: str) -> tuple[LabelSet, list[Property]]:
    """The classes, with the reason. MismatchError if the user states another number of names."""
    joined = len(heads) > 1 or (heads[0].channels == 1 and heads[0].output is Output.LOGITS)
    count = len(heads) + 1 if joined else heads[0].classes
    if request.labels is not None:
        if count not in (0, len(request.labels)):
            order = ", the background first" if joined else ", in the order of its ids"
            message = f"the labels name {len(request.labels)} classes, and {name} has {count}"
            raise MismatchError(message, hint=f"write {count} names, one per line{order}")
        return request.labels, [Property("classes", str(len(request.labels)), "stated with --labels")]
    if not count:
        message = f"{name} gives a mask, and its number of classes is unknown"
        raise FormatError(message, hint="add --labels FILE, with one name per line", code="ES-UNSTATED")
    if joined:
        foregrounds = [head.name for head in heads] if len(heads) > 1 else ["foreground"]
        return labels_from_names(["background", *foregrounds]), [
            Property("classes", str(count), "the background and one per head; name them with --labels FILE")
        ]
    return unnamed_labels(count), [Property("classes", str(count), "the output; name them with --labels FILE")]

"""The input: which axis is which, and at what size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import FormatError, SizeError, UnknownNameError
from edgeseg.graph.adopt.request import AdoptionRequest, Fact
from edgeseg.graph.adopt.source import Source
from edgeseg.spec import InputSpec

LAYOUTS = ("nchw", "nhwc")
DTYPES = {1: "float32", 2: "uint8"}  # of onnx.TensorProto
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Picture:
    """The one input of a segmentation network. dynamic: sizes are free in the file, and were told."""

    name: str
    dtype: str
    layout: str
    height: int
    width: int
    dynamic: bool

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """With a batch of one."""
        planar = (1, 3, self.height, self.width)
        return planar if self.layout == "nchw" else (1, self.height, self.width, 3)

    def fed(self, rgb: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.generic]:
        """What the network takes for `rgb` (H, W, 3): computed by hand, to hold the deploy graph against."""
        colors = rgb if spec.color == "rgb" else rgb[..., ::-1]
        if self.dtype == "float32":
            scaled = (colors.astype(np.float64) / 255 - spec.mean) / spec.std
            values: NDArray[np.generic] = scaled.astype(np.float32)
        else:
            values = colors
        return np.ascontiguousarray((values.transpose(2, 0, 1) if self.layout == "nchw" else values)[None])

    def facts(self, wishes: AdoptionRequest) -> list[Fact]:
        """What is known, and why."""
        told = "told: --size" if self.dynamic else "the graph's input"
        return [
            Fact("layout", self.layout.upper(), "told: --layout" if wishes.layout else "where its 3 channels stand"),
            Fact("input", f"{self.width}x{self.height} {self.dtype}", told),
        ]


def picture_of(source: Source, wishes: AdoptionRequest) -> Picture:
    """The input of `source`. FormatError or SizeError, naming the option to type, where the file does not say."""
    name = source.path.name
    constants = {tensor.name for tensor in source.proto.graph.initializer}
    inputs = [value for value in source.proto.graph.input if value.name not in constants]
    if len(inputs) != 1:
        listed = ", ".join(f"{value.name} {described(shape_of(value))}" for value in inputs)
        message = f"{name} has {len(inputs)} inputs ({listed}); a segmentation model takes one picture"
        raise FormatError(message, hint="export it with the picture as its only input")
    kind, shape = inputs[0].type.tensor_type.elem_type, shape_of(inputs[0])
    if kind not in DTYPES or len(shape) != 4:
        from onnx import TensorProto

        message = f"{name} takes {TensorProto.DataType.Name(kind).lower()} {described(shape)}"
        raise FormatError(message, hint="adopt takes pictures of 3 channels, float32 or uint8, NCHW or NHWC")
    if shape[0] not in (1, None):
        raise FormatError(f"{name} takes a batch of {shape[0]}", hint="export it again with a batch of 1")
    layout = layout_of(shape, name, wishes)
    sides = shape[2:] if layout == "nchw" else shape[1:3]
    width, height = size_of((sides[1], sides[0]), name, wishes)
    return Picture(inputs[0].name, DTYPES[kind], layout, height, width, None in sides)


def layout_of(shape: Shape, name: str, wishes: AdoptionRequest) -> str:
    """Which of the axes counts the channels."""
    if wishes.layout and wishes.layout not in LAYOUTS:
        raise UnknownNameError.among("layout", wishes.layout, LAYOUTS)
    possible = [layout for layout, axis in zip(LAYOUTS, (1, 3)) if shape[axis] in (3, None)]
    certain = [layout for layout, axis in zip(LAYOUTS, (1, 3)) if shape[axis] == 3]
    if not possible or (wishes.layout and wishes.layout not in possible):
        message = f"{name} takes {described(shape)}, which is no {wishes.layout or 'picture'} of 3 channels"
        raise FormatError(message, hint="edgeseg deploys networks that take colour pictures")
    found = [wishes.layout] if wishes.layout else certain or possible
    if len(found) > 1:
        raise FormatError(f"{name} takes {described(shape)}: NCHW or NHWC?", hint="add --layout nchw or --layout nhwc")
    return found[0]


def size_of(own: tuple[int | None, int | None], name: str, wishes: AdoptionRequest) -> tuple[int, int]:
    """The (width, height) to deploy at, of a file whose own sides are None where they are free."""
    width, height = own
    if wishes.size is None:
        if width is None or height is None:
            raise SizeError(f"{name} takes pictures of any size", hint="add --size WIDTHxHEIGHT, the one to deploy at")
        return width, height
    for side, wish in zip(own, wishes.size):
        if side not in (None, wish):
            message = f"{name} takes {width or 'any'}x{height or 'any'}, not {wishes.size[0]}x{wishes.size[1]}"
            raise SizeError(message, hint="leave --size out, or export it again at that size")
    return wishes.size


def shape_of(value: Any) -> Shape:
    """The sides of a graph's input or output, None where they are free."""
    return tuple(side.dim_value if side.dim_value > 0 else None for side in value.type.tensor_type.shape.dim)


def described(shape: Shape | tuple[int, ...]) -> str:
    """A shape for people."""
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"

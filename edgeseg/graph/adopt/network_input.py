"""The input of the network: its layout, type and size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import FormatError, SizeError, UnknownNameError
from edgeseg.graph.adopt.request import AdoptionRequest, Property
from edgeseg.graph.adopt.source import Source
from edgeseg.spec import InputSpec

LAYOUTS = ("nchw", "nhwc")
DTYPES = {1: "float32", 2: "uint8"}  # of onnx.TensorProto
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class NetworkInput:
    """The single input of a segmentation network. dynamic: the size is free in the file, and the user stated it."""

    name: str
    dtype: str
    layout: str
    height: int
    width: int
    dynamic: bool

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape with a batch of one."""
        planar = (1, 3, self.height, self.width)
        return planar if self.layout == "nchw" else (1, self.height, self.width, 3)

    @property
    def size(self) -> str:
        """WIDTHxHEIGHT."""
        return f"{self.width}x{self.height}"

    def preprocess(self, rgb: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.generic]:
        """The network's input for `rgb` (H, W, 3), computed in numpy as the reference for the deploy graph."""
        colors = rgb if spec.color == "rgb" else rgb[..., ::-1]
        if self.dtype == "float32":
            scaled = (colors.astype(np.float64) / 255 - spec.mean) / spec.std
            values: NDArray[np.generic] = scaled.astype(np.float32)
        else:
            values = colors
        return np.ascontiguousarray((values.transpose(2, 0, 1) if self.layout == "nchw" else values)[None])

    def properties(self, request: AdoptionRequest) -> list[Property]:
        """Layout and size, with their reasons."""
        layout_reason = "stated with --layout" if request.layout else "the axis with 3 channels"
        size_reason = "stated with --size" if self.dynamic else "the graph's input"
        return [
            Property("layout", self.layout.upper(), layout_reason),
            Property("input", f"{self.size} {self.dtype}", size_reason),
        ]


def read_input(source: Source, request: AdoptionRequest) -> NetworkInput:
    """The input of `source`. FormatError or SizeError, with the option to add, if the file leaves something open."""
    name = source.path.name
    image, dtype = image_input(source)
    shape = shape_of(image)
    if shape[0] not in (1, None):
        raise FormatError(f"{name} takes a batch of {shape[0]}", hint="export it again with a batch of 1")
    layout = layout_of(shape, name, request)
    sides = shape[2:] if layout == "nchw" else shape[1:3]
    width, height = size_of((sides[1], sides[0]), name, request)
    return NetworkInput(image.name, dtype, layout, height, width, None in sides)


def image_input(source: Source) -> tuple[Any, str]:
    """The only input of `source`, and its dtype. FormatError where it takes no image."""
    name = source.path.name
    constants = {tensor.name for tensor in source.proto.graph.initializer}
    inputs = [value for value in source.proto.graph.input if value.name not in constants]
    if len(inputs) != 1:
        listed = ", ".join(f"{value.name} {shape_text(shape_of(value))}" for value in inputs)
        message = f"{name} has {len(inputs)} inputs ({listed}); a segmentation model takes one image"
        raise FormatError(message, hint="export it with the image as its only input")
    kind, shape = inputs[0].type.tensor_type.elem_type, shape_of(inputs[0])
    if kind not in DTYPES or len(shape) != 4:
        from onnx import TensorProto

        message = f"{name} takes {TensorProto.DataType.Name(kind).lower()} {shape_text(shape)}"
        raise FormatError(message, hint="adopt takes images with 3 channels, float32 or uint8, NCHW or NHWC")
    return inputs[0], DTYPES[kind]


def layout_of(shape: Shape, name: str, request: AdoptionRequest) -> str:
    """The layout: from the axis with 3 channels, or as the user stated it."""
    if request.layout and request.layout not in LAYOUTS:
        raise UnknownNameError.among("layout", request.layout, LAYOUTS)
    possible = [layout for layout, axis in zip(LAYOUTS, (1, 3)) if shape[axis] in (3, None)]
    certain = [layout for layout, axis in zip(LAYOUTS, (1, 3)) if shape[axis] == 3]
    if not possible or (request.layout and request.layout not in possible):
        in_layout = f" in {request.layout.upper()}" if request.layout else ""
        message = f"{name} takes {shape_text(shape)}, which is not an image with 3 channels{in_layout}"
        raise FormatError(message, hint="edgeseg deploys networks that take colour images")
    layouts = [request.layout] if request.layout else certain or possible
    if len(layouts) > 1:
        message = f"{name} takes {shape_text(shape)}: NCHW or NHWC?"
        raise FormatError(message, hint="add --layout nchw or --layout nhwc", code="ES-UNSTATED")
    return layouts[0]


def size_of(own: tuple[int | None, int | None], name: str, request: AdoptionRequest) -> tuple[int, int]:
    """The (width, height) to deploy at. own: that of the file, None where it is free."""
    width, height = own
    if request.size is None:
        if width is None or height is None:
            hint = "add --size WIDTHxHEIGHT, the size to deploy at"
            raise SizeError(f"{name} takes images of any size", hint=hint, code="ES-UNSTATED")
        return width, height
    for side, stated in zip(own, request.size):
        if side not in (None, stated):
            message = f"{name} takes {width or 'any'}x{height or 'any'}, not {request.size[0]}x{request.size[1]}"
            raise SizeError(message, hint="leave --size out, or export it again at that size")
    return request.size


def shape_of(value: Any) -> Shape:
    """The shape of a graph's input or output, None where a side is free."""
    return tuple(side.dim_value if side.dim_value > 0 else None for side in value.type.tensor_type.shape.dim)


def shape_text(shape: Shape | tuple[int, ...]) -> str:
    """A shape for a message: (1, 3, ?, ?)."""
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"

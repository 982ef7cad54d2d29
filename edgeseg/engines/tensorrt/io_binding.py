"""An input or output of a plan: its device buffer and its page-locked host array."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeseg.engines.backend import Array
from edgeseg.engines.tensorrt.compat import Release
from edgeseg.engines.tensorrt.cuda import Buffer, Cuda
from edgeseg.errors import SizeError
from edgeseg.spec import TensorSpec

Shape = tuple[int, ...]


class IOBinding:
    """Both are for the largest shape."""

    def __init__(self, cuda: Cuda, spec: TensorSpec, is_input: bool, shapes: tuple[Shape, ...]) -> None:
        self.spec, self.is_input, self.shapes = spec, is_input, shapes
        self._whole = cuda.pinned(shapes[-1], np.dtype(spec.dtype))
        self.buffer: Buffer = cuda.buffer(self._whole.nbytes)
        self.host: Array = self._whole

    def holds(self, shape: Shape) -> bool:
        """Whether `shape` lies within the engine's profile."""
        low, high = self.shapes[0], self.shapes[-1]
        return len(shape) == len(high) and all(a <= side <= b for a, side, b in zip(low, shape, high))

    def cut(self, shape: Shape) -> None:
        """Use as much of the host array as `shape` needs."""
        count = int(np.prod(shape))
        self.host = self._whole.reshape(-1)[:count].reshape(shape)

    def refusal(self, name: str, shape: Shape) -> SizeError:
        """Why a shape is not taken."""
        low, high = ("x".join(map(str, sides)) for sides in (self.shapes[0], self.shapes[-1]))
        text = "x".join(map(str, shape))
        message = f"{name} takes {self.spec.name} from {low} to {high}, and got {text}"
        return SizeError(message, hint="build it for this batch: edgeseg build --batch MIN:OPT:MAX")


def bindings_of(release: Release, engine: Any, context: Any, cuda: Cuda) -> list[IOBinding]:
    """A slot for each input and output of `engine`; `context` is left at the largest shape, which all have room for."""
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == release.trt.TensorIOMode.INPUT]
    for name in inputs:
        context.set_input_shape(name, tuple(engine.get_tensor_profile_shape(name, 0)[-1]))
    slots = []
    for name in names:
        spec = TensorSpec(name, dtype_of(release, engine, name), tuple(engine.get_tensor_shape(name)))
        largest = tuple(context.get_tensor_shape(name))
        given = name in inputs
        shapes = tuple(map(tuple, engine.get_tensor_profile_shape(name, 0))) if given else (largest,)
        slots.append(IOBinding(cuda, spec, given, shapes))
    return slots


def dtype_of(release: Release, engine: Any, name: str) -> str:
    """The numpy name of a tensor's type."""
    return str(np.dtype(release.trt.nptype(engine.get_tensor_dtype(name))))

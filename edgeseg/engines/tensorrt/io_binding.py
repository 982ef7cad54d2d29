"""The inputs and outputs of a plan, each with a device buffer and a page-locked host array."""

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
    """One input or output. Both memories are as large as the largest shape. shapes: the profile, smallest first."""

    def __init__(self, cuda: Cuda, spec: TensorSpec, is_input: bool, shapes: tuple[Shape, ...]) -> None:
        self.spec, self.is_input, self.shapes = spec, is_input, shapes
        self._whole = cuda.pinned(shapes[-1], np.dtype(spec.dtype))
        self.buffer: Buffer = cuda.buffer(self._whole.nbytes)
        self.host: Array = self._whole

    def fits(self, shape: Shape) -> bool:
        """Whether `shape` lies within the engine's profile."""
        low, high = self.shapes[0], self.shapes[-1]
        return len(shape) == len(high) and all(a <= side <= b for a, side, b in zip(low, shape, high))

    def resize(self, shape: Shape) -> None:
        """Make `host` as much of the host memory as `shape` needs."""
        self.host = self._whole.reshape(-1)[: int(np.prod(shape))].reshape(shape)

    def shape_error(self, name: str, shape: Shape) -> SizeError:
        """The error for a shape outside the profile of the plan `name`."""
        low, high, actual = ("x".join(map(str, sides)) for sides in (self.shapes[0], self.shapes[-1], shape))
        message = f"{name} takes {self.spec.name} from {low} to {high}, not {actual}"
        hint = "build it for this batch: edgeseg build --batch MIN:OPT:MAX"
        return SizeError(message, hint=hint, code="ES-SIZE-BATCH")


def bindings_of(release: Release, engine: Any, context: Any, cuda: Cuda) -> list[IOBinding]:
    """One binding per input and output of `engine`. `context` is left at the largest shape, which all have room for."""
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == release.trt.TensorIOMode.INPUT]
    profiles = {name: tuple(map(tuple, engine.get_tensor_profile_shape(name, 0))) for name in inputs}
    for name, shapes in profiles.items():
        context.set_input_shape(name, shapes[-1])
    bindings = []
    for name in names:
        dtype = str(np.dtype(release.trt.nptype(engine.get_tensor_dtype(name))))
        spec = TensorSpec(name, dtype, tuple(engine.get_tensor_shape(name)))
        shapes = profiles.get(name, (tuple(context.get_tensor_shape(name)),))
        bindings.append(IOBinding(cuda, spec, name in profiles, shapes))
    return bindings

"""Page-locked memory with its counterpart on the device."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.engines.backend import Array
from edgeseg.engines.tensorrt.cuda import Buffer, Cuda


class StagingBuffer:
    """Page-locked memory and as much on the device, for arrays of uint8 up to the largest so far."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._host: Array = np.empty(0, np.uint8)
        self._has_grown = False
        self.buffer: Buffer

    def array(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Page-locked memory of `shape`: always the same until a larger one is asked for."""
        nbytes = int(np.prod(shape))
        if nbytes > self._host.nbytes:
            self.free()
            self._host = self._cuda.pinned((nbytes,), np.uint8)
            self.buffer = self._cuda.buffer(nbytes)
            self._has_grown = True
        return self._host[:nbytes].reshape(shape)

    def grew(self) -> bool:
        """Whether addresses changed since this was asked last."""
        had, self._has_grown = self._has_grown, False
        return had

    def free(self) -> None:
        """Give the device memory back."""
        if self._host.nbytes:
            self.buffer.free()

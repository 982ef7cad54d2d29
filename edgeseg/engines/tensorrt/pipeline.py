"""A picture to its mask on the device: a frame goes up once, a mask comes down once, and one graph does the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.engines.backend import Array
from edgeseg.engines.tensorrt.cuda import Buffer, Cuda, Stream
from edgeseg.engines.tensorrt.kernels.kernels import PixelKernels
from edgeseg.engines.tensorrt.kernels.picture import RgbPicture
from edgeseg.engines.tensorrt.recording import Recordings

Size = tuple[int, int]
GRAPHS = 8  # of different sizes; a camera has one


@dataclass(frozen=True)
class Ends:
    """Where the network begins and ends on the device.

    frame, frame_size: its uint8 input (1, H, W, 3). result, result_shape, result_dtype: logits (1, C, h, w), or a mask
    (1, h, w). run: queues the network on the stream.
    """

    frame: int
    frame_size: Size
    result: int
    result_shape: tuple[int, ...]
    result_dtype: str
    run: Callable[[], None]


class DevicePipeline:
    """Resize, infer, upsample and argmax on one stream. Needs the context on the calling thread."""

    def __init__(self, cuda: Cuda, stream: Stream) -> None:
        self._cuda, self._stream = cuda, stream
        self._kernels = PixelKernels(cuda)
        self._frame, self._mask = Room(cuda), Room(cuda)
        self._recordings = Recordings(cuda, stream)
        self.pending: Pending | None = None

    def begin(
        self, rgb: NDArray[np.uint8], size: Size, ends: Ends, *, align_corners: bool
    ) -> Callable[[], NDArray[np.uint8]]:
        """Queue a picture (H, W, 3) of any size. What comes back waits for its labels (H, W) of `size`, a new array."""
        if self.pending is not None:
            self.pending()
        frame, mask = self._frame.array(rgb.shape), self._mask.array(size)
        if self._frame.grew() | self._mask.grew() or len(self._recordings) >= GRAPHS:
            self._recordings.clear()  # they hold addresses
        np.copyto(frame, rgb)

        def queue() -> None:
            self._cuda.upload(self._frame.buffer, frame, self._stream)
            picture = RgbPicture(self._frame.buffer.address, (rgb.shape[0], rgb.shape[1]))
            self._kernels.resize(picture, ends.frame, ends.frame_size, self._stream)
            ends.run()
            self._label(ends, size, align_corners)
            self._cuda.download(mask, self._mask.buffer, self._stream)

        self._recordings.run((rgb.shape, size, ends.frame_size, align_corners), queue)
        self.pending = Pending(self, mask)
        return self.pending

    def collect(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Wait for the picture under way, and copy its labels."""
        self._cuda.wait(self._stream)
        self.pending = None
        return mask.copy()

    def close(self) -> None:
        """Free the device memory."""
        self._recordings.clear()
        for room in (self._frame, self._mask):
            room.free()

    def _label(self, ends: Ends, size: Size, align_corners: bool) -> None:
        """Queue the mask of `size` from the network's result."""
        target, shape = self._mask.buffer.address, ends.result_shape[1:]
        if len(shape) == 2:
            self._kernels.nearest(ends.result, (shape[0], shape[1]), target, size, self._stream)
            return
        self._kernels.labels(
            ends.result,
            (shape[0], shape[1], shape[2]),
            target,
            size,
            self._stream,
            dtype="fp16" if ends.result_dtype == "float16" else "fp32",
            align_corners=align_corners,
        )


class Pending:
    """The labels of a picture under way: fetched when they are called for, or when the next picture needs the place."""

    def __init__(self, pipeline: DevicePipeline, mask: NDArray[np.uint8]) -> None:
        self._pipeline, self._mask = pipeline, mask
        self._labels: NDArray[np.uint8] | None = None

    def __call__(self) -> NDArray[np.uint8]:
        """The labels (H, W); the same array each time."""
        if self._labels is None:
            self._labels = self._pipeline.collect(self._mask)
        return self._labels


class Room:
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

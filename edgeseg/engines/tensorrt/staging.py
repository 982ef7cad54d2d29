"""Page-locked memory for copies to and from the device, and the upload of frames through it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.engines.backend import Array
from edgeseg.engines.request import Pixels
from edgeseg.engines.tensorrt.cuda import Buffer, Cuda, Stream
from edgeseg.engines.tensorrt.kernels.device_frame import DeviceFrame, RgbFrame, YuvFrame
from edgeseg.pixels.planes import Planes


class StagingBuffer:
    """Page-locked memory and a device buffer of the same size, for uint8 arrays; it grows to the largest array."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._host: Array = np.empty(0, np.uint8)
        self._has_grown = False
        self.buffer: Buffer

    def array(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Page-locked memory of `shape`: the same memory at each call until it has to grow."""
        nbytes = int(np.prod(shape))
        if nbytes > self._host.nbytes:
            self.free()
            self._host = self._cuda.pinned((nbytes,), np.uint8)
            self.buffer = self._cuda.buffer(nbytes)
            self._has_grown = True
        return self._host[:nbytes].reshape(shape)

    def has_grown(self) -> bool:
        """Whether the addresses have changed since the last call of this method."""
        has_grown, self._has_grown = self._has_grown, False
        return has_grown

    def free(self) -> None:
        """Free the device memory."""
        if self._host.nbytes:
            self.buffer.free()


class FrameUpload:
    """Uploads one frame at a time: its planes if it has any, otherwise its RGB.

    Needs the context on the calling thread.
    """

    def __init__(self, cuda: Cuda) -> None:
        self._cuda, self.staging = cuda, StagingBuffer(cuda)
        self._host: NDArray[np.uint8] = np.empty(0, np.uint8)

    def put(self, pixels: Pixels) -> DeviceFrame:
        """Copy a frame to page-locked memory. The result is the frame on the device, valid after `queue` has run."""
        planes = pixels.planes()
        if planes is None:
            rgb = pixels.rgb()
            self._host = self.staging.array(rgb.shape)
            np.copyto(self._host, rgb)
            return RgbFrame(self.staging.buffer.address, (rgb.shape[0], rgb.shape[1]))
        return self._put_planes(planes)

    def queue(self, stream: Stream) -> None:
        """Queue the copy to the device."""
        self._cuda.upload(self.staging.buffer, self._host, stream)

    def _put_planes(self, planes: Planes) -> YuvFrame:
        """Put one plane behind the other, without the decoder's gaps between rows."""
        ends = np.cumsum([plane.size for plane in planes.arrays]).tolist()
        self._host = self.staging.array((ends[-1],))
        for plane, end in zip(planes.arrays, ends):
            np.copyto(self._host[end - plane.size : end].reshape(plane.shape), plane)
        size = (planes.arrays[0].shape[0], planes.arrays[0].shape[1])
        y, *chroma = (self.staging.buffer.address + start for start in (0, *ends[:-1]))
        if planes.layout == "NV12":
            return YuvFrame.nv12(size, y, chroma[0], planes.matrix, planes.full_range)
        return YuvFrame.i420(size, y, chroma[0], chroma[1], planes.matrix, planes.full_range)

"""A frame on its way up: as its decoder left it where the kernels make the same of it as the CPU, otherwise as RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.engines.request import Pixels
from edgeseg.engines.tensorrt.cuda import Cuda, Stream
from edgeseg.engines.tensorrt.kernels.picture import Picture, RgbPicture, YuvPicture
from edgeseg.engines.tensorrt.staging_buffer import StagingBuffer
from edgeseg.pixels.planes import Planes


class Upload:
    """Holds one frame at a time. Needs the context on the calling thread."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda, self.room = cuda, StagingBuffer(cuda)
        self._host: NDArray[np.uint8] = np.empty(0, np.uint8)

    def put(self, pixels: Pixels) -> Picture:
        """Copy a frame to page-locked memory. What comes back is the frame on the device, once `queue` has run."""
        planes = pixels.planes()
        if planes is None or planes.arrays[0].shape[0] % 2:  # FFmpeg smooths the colours of an odd height
            return self._put_rgb(pixels.rgb())
        return self._put_planes(planes)

    def queue(self, stream: Stream) -> None:
        """Queue its way up."""
        self._cuda.upload(self.room.buffer, self._host, stream)

    def _put_rgb(self, rgb: NDArray[np.uint8]) -> RgbPicture:
        self._host = self.room.array(rgb.shape)
        np.copyto(self._host, rgb)
        return RgbPicture(self.room.buffer.address, (rgb.shape[0], rgb.shape[1]))

    def _put_planes(self, planes: Planes) -> YuvPicture:
        """One plane behind the other, without the decoder's gaps between rows."""
        ends = np.cumsum([plane.size for plane in planes.arrays]).tolist()
        self._host = self.room.array((ends[-1],))
        for plane, end in zip(planes.arrays, ends):
            np.copyto(self._host[end - plane.size : end].reshape(plane.shape), plane)
        size = (planes.arrays[0].shape[0], planes.arrays[0].shape[1])
        y, *colours = (self.room.buffer.address + start for start in (0, *ends[:-1]))
        if planes.layout == "NV12":
            return YuvPicture.nv12(size, y, colours[0], planes.matrix, planes.full_range)
        return YuvPicture.i420(size, y, colours[0], colours[1], planes.matrix, planes.full_range)

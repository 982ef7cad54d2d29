"""A picture to its mask on the device: a frame goes up once, a mask comes down once, and one graph does the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgeseg.engines.request import InferenceFuture, InferenceRequest, InferenceResult, OverlayStyle, Pixels
from edgeseg.engines.tensorrt.cuda import Cuda, Stream
from edgeseg.engines.tensorrt.kernels.kernels import PixelKernels
from edgeseg.engines.tensorrt.kernels.picture import Picture, RgbPicture
from edgeseg.engines.tensorrt.recording import Recordings
from edgeseg.engines.tensorrt.staging_buffer import StagingBuffer
from edgeseg.engines.tensorrt.upload import Upload

Size = tuple[int, int]
GRAPHS = 8  # of different sizes; a camera has one


@dataclass(frozen=True)
class NetworkIO:
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
    """Resize, infer, upsample, argmax and overlay on one stream. Needs the context on the calling thread.

    An overlay, three times a mask, comes down where a style is given, and only there.
    """

    def __init__(self, cuda: Cuda, stream: Stream) -> None:
        self._cuda, self._stream = cuda, stream
        self._kernels = PixelKernels(cuda)
        self._upload, self._mask, self._overlay = Upload(cuda), StagingBuffer(cuda), StagingBuffer(cuda)
        self._recordings = Recordings(cuda, stream)
        self._began, self._labelled = cuda.event(), cuda.event()
        self.pending: Pending | None = None

    def begin(
        self, pixels: Pixels, request: InferenceRequest, style: OverlayStyle | None, ends: NetworkIO
    ) -> InferenceFuture:
        """Queue an image of any size; the future waits for it."""
        began = time.perf_counter()
        if self.pending is not None:
            self.pending()
        picture, labels = self._upload.put(pixels), self._mask.array(request.size)
        overlay = None if style is None else self._overlay.array((*picture.size, 3))
        grown = [room for room in self._rooms() if room.grew()]
        if grown or len(self._recordings) >= GRAPHS:
            self._recordings.clear()  # they hold addresses
        self._cuda.record(self._began, self._stream)
        host_ms = (time.perf_counter() - began) * 1e3
        self._recordings.run(
            (picture, request, style, ends.frame_size),
            lambda: self._queue(picture, request, style, ends, labels, overlay),
        )
        self.pending = Pending(partial(self._collect, labels, overlay, host_ms))
        return self.pending

    def close(self) -> None:
        """Free the device memory."""
        self._recordings.clear()
        for room in self._rooms():
            room.free()

    def _rooms(self) -> tuple[StagingBuffer, ...]:
        return self._upload.room, self._mask, self._overlay

    def _queue(
        self,
        picture: Picture,
        request: InferenceRequest,
        style: OverlayStyle | None,
        ends: NetworkIO,
        labels: NDArray[np.uint8],
        overlay: NDArray[np.uint8] | None,
    ) -> None:
        """All that the graph does."""
        self._upload.queue(self._stream)
        self._kernels.resize(picture, ends.frame, ends.frame_size, self._stream)
        ends.run()
        self._label(ends, request)
        self._cuda.download(labels, self._mask.buffer, self._stream)
        self._cuda.record(self._labelled, self._stream)
        if overlay is not None and style is not None:
            self._draw(picture, request.size, style)
            self._cuda.download(overlay, self._overlay.buffer, self._stream)

    def _collect(self, labels: NDArray[np.uint8], overlay: NDArray[np.uint8] | None, host_ms: float) -> InferenceResult:
        """Wait for the picture under way, and copy what became of it."""
        self.pending = None
        self._cuda.wait(self._stream)
        ready = time.perf_counter()
        kept = labels.copy()
        copied_ms = (time.perf_counter() - ready) * 1e3
        device_ms = self._cuda.elapsed_ms(self._began, self._labelled)
        return InferenceResult(kept, None if overlay is None else overlay.copy(), host_ms + device_ms + copied_ms)

    def _label(self, ends: NetworkIO, request: InferenceRequest) -> None:
        """Queue the mask from the network's result."""
        target, shape = self._mask.buffer.address, ends.result_shape[1:]
        if len(shape) == 2:
            self._kernels.nearest(ends.result, (shape[0], shape[1]), target, request.size, self._stream)
            return
        self._kernels.labels(
            ends.result,
            (shape[0], shape[1], shape[2]),
            target,
            request.size,
            self._stream,
            dtype="fp16" if ends.result_dtype == "float16" else "fp32",
            align_corners=request.align_corners,
        )

    def _draw(self, picture: Picture, labels_size: Size, style: OverlayStyle) -> None:
        """Queue the overlay from the frame, which is made RGB where it is none, and the mask."""
        target, size = self._overlay.buffer.address, picture.size
        if not isinstance(picture, RgbPicture):
            self._kernels.resize(picture, target, size, self._stream)
            picture = RgbPicture(target, size)
        palette, labels = np.array(style.palette, np.uint8), self._mask.buffer.address
        self._kernels.overlay(picture, labels, labels_size, palette, target, self._stream, opacity=style.opacity)


class Pending:
    """A picture under way: collected when it is called for, or when the next picture needs the place."""

    def __init__(self, collect: InferenceFuture) -> None:
        self._collect = collect
        self._result: InferenceResult | None = None

    def __call__(self) -> InferenceResult:
        """What became of it; the same each time."""
        if self._result is None:
            self._result = self._collect()
        return self._result

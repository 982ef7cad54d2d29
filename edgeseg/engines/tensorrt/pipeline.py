"""From an image to its labels on the device: a frame goes up, labels come down, and one CUDA graph does all between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgeseg.engines.request import InferenceFuture, InferenceRequest, InferenceResult, OverlayStyle, Pixels
from edgeseg.engines.tensorrt.cuda import Cuda, Stream
from edgeseg.engines.tensorrt.graph_cache import CudaGraphCache
from edgeseg.engines.tensorrt.kernels.device_frame import DeviceFrame, RgbFrame
from edgeseg.engines.tensorrt.kernels.kernels import PixelKernels
from edgeseg.engines.tensorrt.staging import FrameUpload, StagingBuffer

Size = tuple[int, int]
MAX_GRAPHS = 8  # of different sizes; a camera has one


@dataclass(frozen=True)
class NetworkIO:
    """The network's input and output on the device.

    input, input_size: address and (H, W) of the uint8 image (1, H, W, 3). output, output_shape, output_dtype: logits
    (1, C, h, w), or a mask (1, h, w). run: queues the network on the stream.
    """

    input: int
    input_size: Size
    output: int
    output_shape: tuple[int, ...]
    output_dtype: str
    run: Callable[[], None]


class DevicePipeline:
    """Resize, infer, upsample, argmax and overlay on one stream. Needs the context on the calling thread.

    An overlay, three times as large as a mask, is drawn and downloaded only if a style is given.
    """

    def __init__(self, cuda: Cuda, stream: Stream) -> None:
        self._cuda, self._stream = cuda, stream
        self._kernels = PixelKernels(cuda)
        self._upload, self._labels, self._overlay = FrameUpload(cuda), StagingBuffer(cuda), StagingBuffer(cuda)
        self._graphs = CudaGraphCache(cuda, stream)
        self._began, self._labelled = cuda.event(), cuda.event()
        self.future: InferenceFuture | None = None  # of the image under way

    def begin(
        self, pixels: Pixels, request: InferenceRequest, style: OverlayStyle | None, network: NetworkIO
    ) -> InferenceFuture:
        """Queue an image of any size."""
        began = time.perf_counter()
        self._finish()
        frame, labels = self._upload.put(pixels), self._labels.array(request.size)
        overlay = None if style is None else self._overlay.array((*frame.size, 3))
        grown = [staging for staging in self._staging() if staging.has_grown()]
        if grown or len(self._graphs) >= MAX_GRAPHS:
            self._graphs.clear()  # they contain addresses
        self._cuda.record(self._began, self._stream)
        host_ms = (time.perf_counter() - began) * 1e3
        self._graphs.run(
            (frame, request, style, network.input_size),
            lambda: self._queue(frame, request, style, network, labels, overlay),
        )
        self.future = InferenceFuture(partial(self._collect, labels, overlay, host_ms))
        return self.future

    def close(self) -> None:
        """Free the device memory."""
        self._finish()
        self._graphs.clear()
        for staging in self._staging():
            staging.free()

    def _finish(self) -> None:
        """Collect the image under way: its memory is about to be used again."""
        future = self.future  # another thread may be collecting it
        if future is not None:
            future.result()

    def _staging(self) -> tuple[StagingBuffer, ...]:
        return self._upload.staging, self._labels, self._overlay

    def _queue(
        self,
        frame: DeviceFrame,
        request: InferenceRequest,
        style: OverlayStyle | None,
        network: NetworkIO,
        labels: NDArray[np.uint8],
        overlay: NDArray[np.uint8] | None,
    ) -> None:
        """Queue everything that the graph contains."""
        self._upload.queue(self._stream)
        self._kernels.resize(frame, network.input, network.input_size, self._stream)
        network.run()
        self._label(network, request)
        self._cuda.download(labels, self._labels.buffer, self._stream)
        self._cuda.record(self._labelled, self._stream)
        if overlay is not None and style is not None:
            self._draw(frame, request.size, style)
            self._cuda.download(overlay, self._overlay.buffer, self._stream)

    def _collect(self, labels: NDArray[np.uint8], overlay: NDArray[np.uint8] | None, host_ms: float) -> InferenceResult:
        """Wait for the image under way, and copy its result."""
        try:
            with self._cuda.current():
                self._cuda.wait(self._stream)
                ready = time.perf_counter()
                labels = labels.copy()
                copy_ms = (time.perf_counter() - ready) * 1e3
                device_ms = self._cuda.elapsed_ms(self._began, self._labelled)
                return InferenceResult(
                    labels, None if overlay is None else overlay.copy(), host_ms + device_ms + copy_ms
                )
        finally:
            self.future = None  # only now may another image use the memory

    def _label(self, network: NetworkIO, request: InferenceRequest) -> None:
        """Queue the labels, from the network's output."""
        target, shape = self._labels.buffer.address, network.output_shape[1:]
        if len(shape) == 2:
            self._kernels.nearest(network.output, (shape[0], shape[1]), target, request.size, self._stream)
            return
        self._kernels.labels(
            network.output,
            (shape[0], shape[1], shape[2]),
            target,
            request.size,
            self._stream,
            dtype="fp16" if network.output_dtype == "float16" else "fp32",
            align_corners=request.align_corners,
        )

    def _draw(self, frame: DeviceFrame, labels_size: Size, style: OverlayStyle) -> None:
        """Queue the overlay, from the labels and the frame, which is first converted to RGB if it is not."""
        target = self._overlay.buffer.address
        if not isinstance(frame, RgbFrame):
            self._kernels.resize(frame, target, frame.size, self._stream)
            frame = RgbFrame(target, frame.size)
        palette, labels = np.array(style.palette, np.uint8), self._labels.buffer.address
        self._kernels.overlay(frame, labels, labels_size, palette, target, self._stream, opacity=style.opacity)

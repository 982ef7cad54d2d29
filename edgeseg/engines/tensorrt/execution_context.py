"""One execution context with its stream and buffers: it runs one call, or one image, at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgeseg.engines.backend import Array
from edgeseg.engines.request import InferenceFuture, InferenceRequest, OverlayStyle, Pixels
from edgeseg.engines.tensorrt.cuda import Cuda, Stream
from edgeseg.engines.tensorrt.graph_cache import CudaGraphCache
from edgeseg.engines.tensorrt.io_binding import IOBinding, Shape
from edgeseg.engines.tensorrt.pipeline import DevicePipeline, NetworkIO

Size = tuple[int, int]
STAGES = ("h2d", "compute", "d2h")


class ExecutionContext:
    """A TensorRT context on a stream of its own. Needs the device's context on the calling thread.

    name: for errors. run_error: makes the error of a call that TensorRT refuses.
    """

    def __init__(
        self,
        name: str,
        cuda: Cuda,
        context: Any,
        stream: Stream,
        bindings: list[IOBinding],
        run_error: Callable[[], Exception],
    ) -> None:
        self.name, self.bindings = name, {binding.spec.name: binding for binding in bindings}
        self._inputs = [binding for binding in bindings if binding.is_input]
        self._outputs = [binding for binding in bindings if not binding.is_input]
        self._cuda, self._context, self._stream, self._run_error = cuda, context, stream, run_error
        self._graphs = CudaGraphCache(cuda, stream)
        self._pipeline: DevicePipeline | None = None
        for binding in bindings:
            context.set_tensor_address(binding.spec.name, binding.buffer.address)

    @property
    def is_busy(self) -> bool:
        """Whether an image is under way whose result nobody has fetched."""
        return self._pipeline is not None and self._pipeline.future is not None

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Queue one call. The arrays that it returns are page-locked memory, ready after `wait`."""
        self.wait()  # the previous call may still read or write the host arrays
        shapes = self._set_shapes({name: array.shape for name, array in feed.items()})
        for name, array in feed.items():
            np.copyto(self.bindings[name].host, array)
        self._graphs.run(shapes, self._queue)
        return {binding.spec.name: binding.host for binding in self._outputs}

    def open_pipeline(self) -> DevicePipeline:
        """The device's work around the network; the first call makes it. UnavailableError without kernels."""
        self._pipeline = self._pipeline or DevicePipeline(self._cuda, self._stream)
        return self._pipeline

    def begin(
        self, pixels: Pixels, request: InferenceRequest, style: OverlayStyle | None, input_size: Size
    ) -> InferenceFuture:
        """Queue one image. UnavailableError without kernels. input_size: (H, W) of the network's input."""
        pipeline = self.open_pipeline()
        (image,), output = self._inputs, self._outputs[0]
        self._set_shapes({image.spec.name: (1, *input_size, 3)})
        network = NetworkIO(
            image.buffer.address,
            input_size,
            output.buffer.address,
            output.host.shape,
            output.spec.dtype,
            self._execute,
        )
        return pipeline.begin(pixels, request, style, network)

    def wait(self) -> None:
        """Return when all queued work is done."""
        self._cuda.wait(self._stream)

    def stage_milliseconds(self, feed: Mapping[str, Array]) -> dict[str, float]:
        """The time of upload, network and download of one call, by the device's clock."""
        self._set_shapes({name: array.shape for name, array in feed.items()})
        events = [self._cuda.event() for _ in range(len(STAGES) + 1)]
        self._cuda.record(events[0], self._stream)
        for step, event in zip((self._upload, self._execute, self._download), events[1:]):
            step()
            self._cuda.record(event, self._stream)
        self.wait()
        pairs = itertools.pairwise(events)
        return {stage: self._cuda.elapsed_ms(*pair) for stage, pair in zip(STAGES, pairs)}

    def close(self) -> None:
        """Free the device memory."""
        if self._pipeline is not None:
            self._pipeline.close()
        self.wait()
        self._graphs.clear()
        self._context = None
        for binding in self.bindings.values():
            binding.buffer.free()

    def _queue(self) -> None:
        self._upload()
        self._execute()
        self._download()

    def _upload(self) -> None:
        for binding in self._inputs:
            self._cuda.upload(binding.buffer, binding.host, self._stream)

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            raise self._run_error()

    def _download(self) -> None:
        for binding in self._outputs:
            self._cuda.download(binding.host, binding.buffer, self._stream)

    def _set_shapes(self, shapes: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Set the input shapes of this call, and fit the host arrays to them."""
        for name, shape in shapes.items():
            binding = self.bindings[name]
            if binding.host.shape == shape:
                continue
            if not binding.fits(shape) or not self._context.set_input_shape(name, shape):
                raise binding.shape_error(self.name, shape)
            binding.resize(shape)
        for binding in self._outputs:
            if -1 in binding.spec.shape:
                binding.resize(tuple(self._context.get_tensor_shape(binding.spec.name)))
        return tuple(shapes.values())

"""One execution context with its stream and buffers: what runs one call, or one picture, at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgeseg.engines.backend import Array
from edgeseg.engines.request import InferenceFuture, InferenceRequest, OverlayStyle, Pixels
from edgeseg.engines.tensorrt.cuda import Cuda, Stream
from edgeseg.engines.tensorrt.io_binding import IOBinding, Shape
from edgeseg.engines.tensorrt.pipeline import DevicePipeline, NetworkIO
from edgeseg.engines.tensorrt.recording import Recordings

Size = tuple[int, int]
STAGES = ("h2d", "compute", "d2h")


class ExecutionContext:
    """A context of an engine, on a stream of its own. Needs the device's context on the calling thread.

    name: for errors. refusal: makes the error of a call that TensorRT did not take.
    """

    def __init__(
        self,
        name: str,
        cuda: Cuda,
        context: Any,
        stream: Stream,
        slots: list[IOBinding],
        refusal: Callable[[], Exception],
    ) -> None:
        self.name, self.slots = name, {slot.spec.name: slot for slot in slots}
        self._cuda, self._context, self._stream, self._refusal = cuda, context, stream, refusal
        self._recordings = Recordings(cuda, stream)
        self._pipeline: DevicePipeline | None = None
        for slot in slots:
            context.set_tensor_address(slot.spec.name, slot.buffer.address)

    @property
    def is_busy(self) -> bool:
        """Whether a picture was begun whose mask nobody fetched."""
        return self._pipeline is not None and self._pipeline.pending is not None

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Queue one call; the arrays that come back are page-locked memory, ready after `wait`."""
        self.wait()  # the host arrays are about to change
        shapes = self._shaped({name: array.shape for name, array in feed.items()})
        for name, array in feed.items():
            np.copyto(self.slots[name].host, array)
        self._recordings.run(shapes, self._queue)
        return {name: slot.host for name, slot in self.slots.items() if not slot.is_input}

    def open_pipeline(self) -> DevicePipeline:
        """What surrounds the network on the device, made once. UnavailableError without kernels."""
        self._pipeline = self._pipeline or DevicePipeline(self._cuda, self._stream)
        return self._pipeline

    def begin(
        self, pixels: Pixels, request: InferenceRequest, style: OverlayStyle | None, frame_size: Size
    ) -> InferenceFuture:
        """Queue one image; the future waits for it. UnavailableError without kernels.

        frame_size: (H, W) of the network's input.
        """
        pipeline = self.open_pipeline()
        (frame,) = [slot for slot in self.slots.values() if slot.is_input]
        result = next(slot for slot in self.slots.values() if not slot.is_input)
        self._shaped({frame.spec.name: (1, *frame_size, 3)})
        ends = NetworkIO(
            frame.buffer.address, frame_size, result.buffer.address, result.host.shape, result.spec.dtype, self._execute
        )
        return pipeline.begin(pixels, request, style, ends)

    def wait(self) -> None:
        """Return when all that was queued is done."""
        self._cuda.wait(self._stream)

    def stage_milliseconds(self, feed: Mapping[str, Array]) -> dict[str, float]:
        """How long upload, network and download of one call take, by the device's clock."""
        self._shaped({name: array.shape for name, array in feed.items()})
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
        self.wait()
        self._recordings.clear()
        if self._pipeline is not None:
            self._pipeline.close()
        self._context = None
        for slot in self.slots.values():
            slot.buffer.free()

    def _queue(self) -> None:
        for step in (self._upload, self._execute, self._download):
            step()

    def _upload(self) -> None:
        for slot in self.slots.values():
            if slot.is_input:
                self._cuda.upload(slot.buffer, slot.host, self._stream)

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            raise self._refusal()

    def _download(self) -> None:
        for slot in self.slots.values():
            if not slot.is_input:
                self._cuda.download(slot.host, slot.buffer, self._stream)

    def _shaped(self, given: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Tell the context the shapes of this call, and cut the host arrays to them."""
        for name, shape in given.items():
            slot = self.slots[name]
            if slot.host.shape == shape:
                continue
            if not slot.holds(shape) or not self._context.set_input_shape(name, shape):
                raise slot.refusal(self.name, shape)
            slot.cut(shape)
        for name, slot in self.slots.items():
            if not slot.is_input and -1 in slot.spec.shape:
                slot.cut(tuple(self._context.get_tensor_shape(name)))
        return tuple(given.values())

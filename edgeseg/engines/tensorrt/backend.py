"""A plan that runs on the GPU: buffers once, pinned host memory, one stream, and from the second call on a graph."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeseg.artifact import Artifact
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.tensorrt.compat import Release, import_release
from edgeseg.engines.tensorrt.cuda import Buffer, Cuda, Graph, Stream, open_cuda
from edgeseg.engines.tensorrt.log import Log
from edgeseg.engines.tensorrt.opened import engine_from_plan
from edgeseg.engines.tensorrt.pipeline import DevicePipeline, Ends
from edgeseg.errors import SizeError, UnavailableError
from edgeseg.spec import TensorSpec

logger = logging.getLogger(__name__)

Shape = tuple[int, ...]
STAGES = ("h2d", "compute", "d2h")


class TensorRtBackend(Backend):
    """One execution context with its own stream and buffers. Usable from any thread, by one at a time.

    Several backends of one file run beside each other, each on its stream. Output arrays are page-locked memory of the
    backend, ready after `synchronize()`.
    """

    def __init__(self, name: str, artifact: Artifact, threads: int | None) -> None:
        self._release = import_release(name)
        self._log = Log(self._release.trt)
        self._graphs: dict[tuple[Shape, ...], Graph | None] = {}
        self._slots: dict[str, Slot] = {}
        self._pipeline: DevicePipeline | None = None
        self._without_kernels = False
        self._size = (artifact.spec.input.height, artifact.spec.input.width)
        self._cuda = open_cuda(str(artifact.build.get("options", {}).get("device", "cuda:0")))
        try:
            with self._cuda.current():
                self._load(artifact)
        except BaseException:
            self._cuda.close()
            raise
        specs = [(slot.is_input, slot.spec) for slot in self._slots.values()]
        inputs, outputs = (tuple(spec for given, spec in specs if given is wanted) for wanted in (True, False))
        super().__init__(f"{artifact.path.name} ({name})", inputs, outputs)

    def _load(self, artifact: Artifact) -> None:
        """The plan, an execution context, and room for what goes in and comes out."""
        self._runtime, self._engine = engine_from_plan(self._release, self._log, artifact, self._cuda)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise out_of_memory(artifact, self._release.device_memory_bytes(self._engine), self._cuda)
        self._stream: Stream = self._cuda.stream()
        for slot in slots_of(self._release, self._engine, self._context, self._cuda):
            self._slots[slot.spec.name] = slot
            self._context.set_tensor_address(slot.spec.name, slot.buffer.address)

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        with self._cuda.current():
            self.synchronize()  # the host buffers are about to change
            shapes = self._shaped({name: array.shape for name, array in feed.items()})
            for name, array in feed.items():
                np.copyto(self._slots[name].host, array)
            self._launch(shapes)
        return {spec.name: self._slots[spec.name].host for spec in self.outputs}

    def labels(self, rgb: Array, size: tuple[int, int], *, align_corners: bool) -> Array | None:
        """`Backend.labels`; None where the pixel kernels cannot be compiled here, which is logged once."""
        with self._cuda.current():
            pipeline = self._pipelined()
            if pipeline is None:
                return None
            (frame,), result = self.inputs, self._slots[self.outputs[0].name]
            height, width = self._size
            self._shaped({frame.name: (1, height, width, 3)})
            buffer = self._slots[frame.name].buffer
            ends = Ends(
                buffer.address, self._size, result.buffer.address, result.host.shape, result.spec.dtype, self._execute
            )
            return pipeline.labels(rgb, size, ends, align_corners=align_corners)

    def _pipelined(self) -> DevicePipeline | None:
        """The pipeline, made when it is first asked for; None where it cannot be had."""
        if self._pipeline is None and not self._without_kernels:
            try:
                self._pipeline = DevicePipeline(self._cuda, self._stream)
            except UnavailableError as problem:
                self._without_kernels = True
                logger.warning("%s: pictures are resized and labelled on the CPU: %s", self.name, problem)
        return self._pipeline

    def synchronize(self) -> None:
        """Wait until the last call has finished."""
        if not self._closed:
            with self._cuda.current():
                self._cuda.wait(self._stream)

    def stage_milliseconds(self, feed: Mapping[str, Array]) -> dict[str, float]:
        """How long the upload, the network and the download of one call take on the device, by its own clock."""
        with self._cuda.current():
            self._shaped({name: array.shape for name, array in feed.items()})
            events = [self._cuda.event() for _ in range(len(STAGES) + 1)]
            self._cuda.record(events[0], self._stream)
            for step, event in zip((self._upload, self._execute, self._download), events[1:]):
                step()
                self._cuda.record(event, self._stream)
            self._cuda.wait(self._stream)
            pairs = itertools.pairwise(events)
            return {stage: self._cuda.elapsed_ms(*pair) for stage, pair in zip(STAGES, pairs)}

    def _launch(self, shapes: tuple[Shape, ...]) -> None:
        """Run once. The first call of a shape runs plainly, the second records a graph, later ones launch it.

        TensorRT sets itself up for a shape in the first call, which a graph must not hold.
        """
        if shapes not in self._graphs:
            self._graphs[shapes] = None
            self._enqueue()
            return
        graph = self._graphs[shapes]
        if graph is None:
            with self._cuda.capture(self._stream) as graph:
                self._enqueue()
            self._graphs[shapes] = graph
        self._cuda.launch(graph, self._stream)

    def _enqueue(self) -> None:
        for step in (self._upload, self._execute, self._download):
            step()

    def _upload(self) -> None:
        for slot in self._slots.values():
            if slot.is_input:
                self._cuda.upload(slot.buffer, slot.host, self._stream)

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            raise UnavailableError(f"{self.name} failed to run: {last(self._log.errors)}", hint="edgeseg doctor")

    def _download(self) -> None:
        for slot in self._slots.values():
            if not slot.is_input:
                self._cuda.download(slot.host, slot.buffer, self._stream)

    def _shaped(self, given: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Tell the context the shapes of this call, and cut the host arrays to them."""
        shapes = tuple(given[spec.name] for spec in self.inputs)
        for spec, shape in zip(self.inputs, shapes):
            slot = self._slots[spec.name]
            if slot.host.shape == shape:
                continue
            if not slot.holds(shape) or not self._context.set_input_shape(spec.name, shape):
                raise slot.refusal(self.name, shape)
            slot.cut(shape)
        for spec in self.outputs:
            if -1 in spec.shape:
                self._slots[spec.name].cut(tuple(self._context.get_tensor_shape(spec.name)))
        return shapes

    def _close(self) -> None:
        with self._cuda.current():
            self._cuda.wait(self._stream)
            self._graphs.clear()
            if self._pipeline is not None:
                self._pipeline.close()
            self._context = self._engine = self._runtime = None
            for slot in self._slots.values():
                slot.buffer.free()
            self._slots = {}
        self._cuda.close()


class Slot:
    """An input or output: its device buffer and its page-locked host array, both for the largest shape."""

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
        return SizeError(message, hint="build it for this shape: edgeseg build --sizes MIN:OPT:MAX --batch MIN:OPT:MAX")


def slots_of(release: Release, engine: Any, context: Any, cuda: Cuda) -> list[Slot]:
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
        slots.append(Slot(cuda, spec, given, shapes))
    return slots


def dtype_of(release: Release, engine: Any, name: str) -> str:
    """The numpy name of a tensor's type."""
    return str(np.dtype(release.trt.nptype(engine.get_tensor_dtype(name))))


def out_of_memory(artifact: Artifact, needed: int, cuda: Cuda) -> UnavailableError:
    """There is no room for an execution context."""
    free, _ = cuda.memory()
    message = f"{artifact.path.name} needs {needed >> 20} MiB of device memory, and {free >> 20} MiB are free"
    return UnavailableError(message, hint="close what else uses the GPU, or build with a smaller --size or --batch")


def last(errors: list[str]) -> str:
    """The latest of TensorRT's complaints."""
    return errors[-1] if errors else "TensorRT does not say why"

"""A plan that runs on the GPU: one engine, and as many execution contexts as pictures are under way."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from edgeseg.artifact import Artifact
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.options import RunOptions
from edgeseg.engines.request import (
    FusedRunner,
    InferenceFuture,
    InferenceRequest,
    InferenceResult,
    OverlayStyle,
    Pixels,
)
from edgeseg.engines.tensorrt.compat import import_release
from edgeseg.engines.tensorrt.cuda import open_cuda
from edgeseg.engines.tensorrt.execution_context import ExecutionContext
from edgeseg.engines.tensorrt.io_binding import bindings_of
from edgeseg.engines.tensorrt.loaded_engine import LoadedEngine, shared_engine
from edgeseg.errors import UnavailableError
from edgeseg.predictions.decoder import Decoder, SemanticDecoder

logger = logging.getLogger(__name__)

LANES = 2  # one uploads while the other computes


class TensorRtBackend(Backend):
    """Usable from any thread, by one at a time. Output arrays are page-locked memory, ready after `synchronize()`.

    Several backends of one file run beside each other, and share the engine.
    """

    def __init__(self, name: str, artifact: Artifact, run: RunOptions) -> None:
        self._release = import_release(name)
        self._artifact, self._lanes = artifact, list[ExecutionContext]()
        self._most_lanes = LANES
        self._opened: LoadedEngine | None = None
        self._cuda = open_cuda(run.device)
        try:
            with self._cuda.current():
                self._opened = shared_engine(self._release, artifact, self._cuda, run.device)
                self._lanes.append(self._new_lane())
        except BaseException:
            self._cuda.close()
            raise
        slots = self._lanes[0].slots.values()
        inputs, outputs = (tuple(slot.spec for slot in slots if slot.is_input is kind) for kind in (True, False))
        super().__init__(f"{artifact.path.name} ({name})", inputs, outputs)

    @property
    def slots(self) -> int:
        """`FusedRunner.slots`; fewer where the device has no room for as many contexts."""
        return self._most_lanes

    def fused(self, decoder: Decoder) -> FusedRunner | None:
        """`Backend.fused`; None, which is logged, where the pixel kernels cannot be compiled here."""
        # The kernels label as that decoder does, from the plan's first output.
        if type(decoder) is not SemanticDecoder or decoder.output not in ("", self.outputs[0].name):
            return None
        try:
            with self._cuda.current():
                self._lanes[0].open_pipeline()
        except UnavailableError as problem:
            logger.warning("%s: images are resized and labelled on the CPU: %s", self.name, problem)
            return None
        return self

    def begin(self, pixels: Pixels, request: InferenceRequest, style: OverlayStyle | None = None) -> InferenceFuture:
        """`FusedRunner.begin`."""
        given = self._artifact.spec.input
        with self._cuda.current():
            future = self._free_lane().begin(pixels, request, style, (given.height, given.width))
        return partial(self._finished, future)

    def synchronize(self) -> None:
        """Wait until the last call has finished."""
        if not self._closed:
            with self._cuda.current():
                self._lanes[0].wait()

    def stage_milliseconds(self, feed: Mapping[str, Array]) -> dict[str, float]:
        """How long the upload, the network and the download of one call take on the device: "h2d", "compute", "d2h"."""
        with self._cuda.current():
            return self._lanes[0].stage_milliseconds(feed)

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        with self._cuda.current():
            return self._lanes[0].infer(feed)

    def _finished(self, future: InferenceFuture) -> InferenceResult:
        with self._cuda.current():
            return future()

    def _free_lane(self) -> ExecutionContext:
        """A lane without a picture under way, a new one where all have one; the oldest where there are enough."""
        free = next((lane for lane in self._lanes if not lane.is_busy), None)
        if free is not None:
            return free
        if len(self._lanes) < self._most_lanes:
            self._add_lane()
        else:
            self._lanes.append(self._lanes.pop(0))
        return self._lanes[-1]

    def _add_lane(self) -> None:
        """One lane more; where there is no room for it this is logged, and those that there are do."""
        try:
            self._lanes.append(self._new_lane())
        except UnavailableError as problem:
            self._most_lanes = len(self._lanes)
            logger.warning("%s: one picture at a time: %s", self.name, problem)

    def _new_lane(self) -> ExecutionContext:
        """Another execution context. UnavailableError where the device has no room for it."""
        assert self._opened is not None  # until it is closed
        engine = self._opened.engine
        context = engine.create_execution_context()
        if context is None:
            raise self._out_of_memory(engine)
        slots = bindings_of(self._release, engine, context, self._cuda)
        return ExecutionContext(
            self._artifact.path.name, self._cuda, context, self._cuda.stream(), slots, self._failure
        )

    def _failure(self) -> UnavailableError:
        """A call that TensorRT did not take."""
        errors = self._opened.log.errors if self._opened else []
        reason = errors[-1] if errors else "TensorRT does not say why"
        return UnavailableError(f"{self._artifact.path.name} failed to run: {reason}", hint="edgeseg doctor")

    def _out_of_memory(self, engine: Any) -> UnavailableError:
        """There is no room for an execution context."""
        needed, (free, _) = self._release.device_memory_bytes(engine), self._cuda.memory()
        return UnavailableError(
            f"{self._artifact.path.name} needs {needed >> 20} MiB of device memory, and {free >> 20} MiB are free",
            hint="close what else uses the GPU, or build with a smaller --size or --batch",
        )

    def _close(self) -> None:
        with self._cuda.current():
            for lane in self._lanes:
                lane.close()
            self._lanes.clear()
            self._opened = None
        self._cuda.close()

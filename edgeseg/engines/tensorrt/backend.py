"""A plan that runs on the GPU: one engine, and one execution context per image under way."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from edgeseg.artifact import Artifact
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.options import RunOptions
from edgeseg.engines.request import FusedRunner, InferenceFuture, InferenceRequest, OverlayStyle, Pixels
from edgeseg.engines.tensorrt.compat import import_release
from edgeseg.engines.tensorrt.cuda import open_cuda
from edgeseg.engines.tensorrt.execution_context import ExecutionContext
from edgeseg.engines.tensorrt.io_binding import bindings_of
from edgeseg.engines.tensorrt.loaded_engine import LoadedEngine, shared_engine
from edgeseg.engines.tensorrt.log_errors import NO_REASON, OUT_OF_MEMORY
from edgeseg.errors import UnavailableError
from edgeseg.predictions.decoder import Decoder, SemanticDecoder

logger = logging.getLogger(__name__)

CONTEXTS = 2  # one uploads while the other computes


class TensorRtBackend(Backend):
    """Usable from any thread, by one at a time. Output arrays are page-locked memory, ready after `synchronize()`.

    Several backends of one file can run at the same time; they share the engine.
    """

    def __init__(self, name: str, artifact: Artifact, run: RunOptions) -> None:
        self._release = import_release(name)
        self._artifact, self._contexts = artifact, list[ExecutionContext]()
        self._max_contexts = CONTEXTS
        self._loaded: LoadedEngine | None = None
        self._cuda = open_cuda(run.device)
        try:
            with self._cuda.current():
                self._loaded = shared_engine(self._release, artifact, self._cuda, run.device)
                self._contexts.append(self._new_context())
        except BaseException:
            self._cuda.close()
            raise
        bindings = self._contexts[0].bindings.values()
        inputs, outputs = (tuple(each.spec for each in bindings if each.is_input is kind) for kind in (True, False))
        super().__init__(f"{artifact.path.name} ({name})", inputs, outputs)

    @property
    def slots(self) -> int:
        """`FusedRunner.slots`; 1 if the device has no memory for a second context."""
        return self._max_contexts

    def fused(self, decoder: Decoder) -> FusedRunner | None:
        """`Backend.fused`; None, with a warning, if the pixel kernels cannot be compiled here."""
        # The kernels do what this decoder does, with the plan's first output.
        if type(decoder) is not SemanticDecoder or decoder.output not in ("", self.outputs[0].name):
            return None
        try:
            with self._cuda.current():
                self._contexts[0].open_pipeline()
        except UnavailableError as problem:
            logger.warning("%s: images are resized and labelled on the CPU: %s", self.name, problem)
            return None
        return self

    def begin(self, pixels: Pixels, request: InferenceRequest, style: OverlayStyle | None = None) -> InferenceFuture:
        """`FusedRunner.begin`."""
        size = self._artifact.spec.input
        with self._cuda.current():
            return self._free_context().begin(pixels, request, style, (size.height, size.width))

    def synchronize(self) -> None:
        """Wait until the last call has finished."""
        if not self._closed:
            with self._cuda.current():
                self._contexts[0].wait()

    def stage_milliseconds(self, feed: Mapping[str, Array]) -> dict[str, float]:
        """The time of the upload, the network and the download of one call on the device: "h2d", "compute", "d2h"."""
        with self._cuda.current():
            return self._contexts[0].stage_milliseconds(feed)

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        with self._cuda.current():
            return self._contexts[0].infer(feed)

    def _free_context(self) -> ExecutionContext:
        """A context without an image under way: a new one if all are busy, and the oldest if there are enough."""
        free = next((context for context in self._contexts if not context.is_busy), None)
        if free is not None:
            return free
        if len(self._contexts) < self._max_contexts:
            try:
                self._contexts.append(self._new_context())
            except UnavailableError as problem:
                self._max_contexts = len(self._contexts)
                logger.warning("%s: one image at a time: %s", self.name, problem)
        else:
            self._contexts.append(self._contexts.pop(0))
        return self._contexts[-1]

    def _new_context(self) -> ExecutionContext:
        """Another execution context. UnavailableError if the device has no memory for it."""
        assert self._loaded is not None  # until it is closed
        engine, name = self._loaded.engine, self._artifact.path.name
        context = engine.create_execution_context()
        if context is None:
            needed, (free, _) = self._release.device_memory_bytes(engine), self._cuda.memory()
            raise UnavailableError(
                f"{name} needs {needed >> 20} MiB of device memory; {free >> 20} MiB are free",
                hint="close other programs that use the GPU, or build with a smaller --size or --batch",
                code=OUT_OF_MEMORY,
            )
        bindings = bindings_of(self._release, engine, context, self._cuda)
        return ExecutionContext(name, self._cuda, context, self._cuda.stream(), bindings, self._run_error)

    def _run_error(self) -> UnavailableError:
        """The error of a call that TensorRT refused."""
        errors = self._loaded.log.errors if self._loaded else []
        message = f"{self._artifact.path.name} failed to run: {errors[-1] if errors else NO_REASON}"
        return UnavailableError(message, hint="run edgeseg doctor", code="ES-RUN")

    def _close(self) -> None:
        with self._cuda.current():
            for context in self._contexts:
                context.close()
            self._contexts.clear()
            self._loaded = None
        self._cuda.close()

"""The sinks of one stream, each with a thread and a bounded queue of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from edgeseg.errors import EdgeSegError
from edgeseg.video.overlay import OverlayRenderer
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, StopStream, Wants, has_output, want_planes

logger = logging.getLogger(__name__)

DEPTH = 8  # results that may wait for a sink
BUSY_DEPTH = 4  # results of a recording that wait for a sink while no further image is begun
CLOSE_SECONDS = 10.0  # how long the sinks may take to finish their files


class SharedResult:
    """A result for all sinks of a stream: its overlay is rendered once, when the first sink needs it.

    planes: as YUV, where that is possible.
    """

    def __init__(self, result: Result, renderer: OverlayRenderer, *, planes: bool = False) -> None:
        self._result, self._renderer, self._planes = result, renderer, planes
        self._rendered: Result | None = None
        self._lock = threading.Lock()

    def result_for(self, sink: FrameSink) -> Result:
        """The result, with an overlay if the sink wants one."""
        if sink.wants == "prediction":
            return self._result
        with self._lock:
            if self._rendered is None:
                self._rendered = self._renderer.rendered(self._result, planes=self._planes)
            return self._rendered


class UnopenedSink(FrameSink):
    """Stands for a sink that does not open: it fails by the first result, and alone."""

    wants: Wants = "prediction"

    def __init__(self, name: str, problem: Exception) -> None:
        super().__init__(name)
        self._problem = problem

    def _write(self, result: Result) -> bool:
        raise self._problem


class SinkWorker:
    """Writes results to a sink in a thread of its own, so that a sink that is slow or fails holds up nobody.

    drops: a result that finds the queue full replaces the oldest that waits, and is counted in `dropped`; otherwise
    `put` waits. on_error: called once, in the thread of the worker, with what the sink raised; the sink gets no more.
    on_room: called in that thread when a result was taken from the queue.
    """

    def __init__(
        self,
        sink: FrameSink,
        *,
        drops: bool,
        on_error: Callable[[FrameSink, Exception], None],
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self.sink, self.dropped = sink, 0
        self.error: Exception | None = None
        self.wants_end = False
        self._drops, self._on_error, self._on_room = drops, on_error, on_room
        self._waiting: deque[SharedResult] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._work, name=f"edgeseg-sink-{sink.name}", daemon=True)
        self._thread.start()

    def put(self, result: SharedResult) -> None:
        """Have a result written."""
        with self._changed:
            while not self._drops and len(self._waiting) >= DEPTH and not self._is_over():
                self._changed.wait()
            if self._is_over():
                return
            if len(self._waiting) >= DEPTH:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(result)
            self._changed.notify_all()

    def is_busy(self) -> bool:
        """Whether so many results of a recording wait that `put` may soon wait."""
        return not self._drops and len(self._waiting) >= BUSY_DEPTH

    def end(self) -> None:
        """Have the rest written and the sink closed."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def join(self, seconds: float) -> bool:
        """Wait for the end; False where it takes longer, and goes on in its thread."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _is_over(self) -> bool:
        return self._ending or self.wants_end or self.error is not None

    def _work(self) -> None:
        try:
            while (result := self._next()) is not None:
                self._on_room()
                self._write(result)
        finally:
            self._close()

    def _next(self) -> SharedResult | None:
        """The next result, waited for; None at the end."""
        with self._changed:
            if self.wants_end or self.error is not None:
                self._waiting.clear()
            while not self._waiting and not self._is_over():
                self._changed.wait()
            result = self._waiting.popleft() if self._waiting else None
            self._changed.notify_all()
            return result

    def _write(self, result: SharedResult) -> None:
        try:
            self.sink.write(result.result_for(self.sink))
        except StopStream:
            self.wants_end = True
        except Exception as problem:
            self._failed(problem)

    def _close(self) -> None:
        try:
            self.sink.close()
        except Exception as problem:
            self._failed(problem)
        self._on_room()

    def _failed(self, problem: Exception) -> None:
        if self.error is None:
            self.error = problem
            if not isinstance(problem, (EdgeSegError, OSError)):
                logger.exception("%s failed", self.sink.name)
            self._on_error(self.sink, problem)


class Outputs:
    """All sinks of a stream."""

    def __init__(self, workers: Sequence[SinkWorker], renderer: OverlayRenderer) -> None:
        self.workers, self._renderer = list(workers), renderer
        self._planes = want_planes(self.sinks)

    def put(self, result: Result, *, repeated: bool = False) -> None:
        """Have a result written by each sink that still works. repeated: only by those that repeat old results."""
        shared = SharedResult(result, self._renderer, planes=self._planes)
        for worker in self.workers:
            if worker.sink.repeats or not repeated:
                worker.put(shared)

    @property
    def sinks(self) -> list[FrameSink]:
        """All of them, also those that have failed."""
        return [worker.sink for worker in self.workers]

    @property
    def have_failed(self) -> bool:
        """Whether a sink failed, and none that works is an output."""
        working = [worker.sink for worker in self.workers if worker.error is None]
        return len(working) < len(self.workers) and not has_output(working)

    @property
    def wants_end(self) -> bool:
        """Whether a sink, such as a window that was closed, wants the stream to end."""
        return any(worker.wants_end for worker in self.workers)

    def is_busy(self) -> bool:
        """Whether a sink of a recording lags behind."""
        return any(worker.is_busy() for worker in self.workers)

    def end(self) -> None:
        """Have each sink write what waits for it, and close it."""
        for worker in self.workers:
            worker.end()

    def join(self, seconds: float) -> list[FrameSink]:
        """Wait for the end of all; the sinks that did not finish in time."""
        until = time.monotonic() + seconds
        return [worker.sink for worker in self.workers if not worker.join(until - time.monotonic())]

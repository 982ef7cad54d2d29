"""The sinks of one stream, each with a thread and a bounded queue of its own."""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
from collections.abc import Callable, Sequence

from edgeseg.errors import EdgeSegError
from edgeseg.pixels.banner import draw_banner
from edgeseg.pixels.legend import Legend
from edgeseg.video.frame import Pixels
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, StopStream

logger = logging.getLogger(__name__)

DEPTH = 8  # results that may wait for a sink
CLOSE_SECONDS = 10.0  # how long a sink may take to finish its files


class OverlayRenderer:
    """Renders the overlay of a result once, for all sinks of a stream."""

    def __init__(self, opacity: float, legend: Legend | None) -> None:
        self._opacity, self._legend = opacity, legend
        self._lock = threading.Lock()
        self._of: Result | None = None
        self._overlay: Pixels | None = None

    def rendered(self, result: Result) -> Result:
        """The result with its overlay."""
        with self._lock:
            if self._of is not result or self._overlay is None:
                self._of, self._overlay = result, self._render(result)
            return dataclasses.replace(result, overlay=self._overlay)

    def _render(self, result: Result) -> Pixels:
        overlay = result.overlay
        if overlay is None:
            overlay = result.prediction.render(result.frame.rgb(), opacity=self._opacity)
        if self._legend is not None:
            self._legend.draw(overlay)
        if result.stale:
            draw_banner(overlay, "NO SIGNAL")
        return overlay


class SinkWorker:
    """Writes results to a sink in a thread of its own, so that a sink that is slow or fails holds up nobody.

    drops: a result that finds the queue full replaces the oldest that waits, and is counted in `dropped`; otherwise
    `put` waits. on_error: called once, in the thread of the worker, with what the sink raised; the sink gets no more.
    """

    def __init__(
        self,
        sink: FrameSink,
        renderer: OverlayRenderer,
        *,
        drops: bool,
        on_error: Callable[[FrameSink, Exception], None],
    ) -> None:
        self.sink, self.dropped = sink, 0
        self.error: Exception | None = None
        self.wants_end = False
        self._renderer, self._drops, self._on_error = renderer, drops, on_error
        self._waiting: queue.Queue[Result | None] = queue.Queue(DEPTH)
        self._thread = threading.Thread(target=self._work, name=f"edgeseg-sink-{sink.name}", daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """Have a result written."""
        while self.error is None and not self.wants_end:
            try:
                self._waiting.put(result, block=not self._drops, timeout=None if self._drops else 0.5)
                return
            except queue.Full:
                if self._drops:
                    self._drop_oldest()

    def close(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Have the rest written and the sink closed; False where that took too long, and goes on in its thread."""
        while True:
            try:
                self._waiting.put_nowait(None)
                break
            except queue.Full:
                self._thread.join(0.05)
                if not self._thread.is_alive() or (seconds := seconds - 0.05) < 0:
                    break
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _drop_oldest(self) -> None:
        try:
            if self._waiting.get_nowait() is not None:
                self.dropped += 1
        except queue.Empty:
            pass

    def _work(self) -> None:
        try:
            while self.error is None and not self.wants_end:
                result = self._waiting.get()
                if result is None:
                    break
                self._write(result)
        finally:
            self._close()

    def _write(self, result: Result) -> None:
        try:
            if self.sink.wants != "prediction":
                result = self._renderer.rendered(result)
            self.sink.write(result)
        except StopStream:
            self.wants_end = True
        except Exception as problem:
            self._failed(problem)

    def _close(self) -> None:
        try:
            self.sink.close()
        except Exception as problem:
            self._failed(problem)

    def _failed(self, problem: Exception) -> None:
        if self.error is None:
            self.error = problem
            if not isinstance(problem, (EdgeSegError, OSError)):
                logger.exception("%s failed", self.sink.name)
            self._on_error(self.sink, problem)


class Outputs:
    """All sinks of a stream."""

    def __init__(self, workers: Sequence[SinkWorker]) -> None:
        self.workers = list(workers)

    def put(self, result: Result, *, repeated: bool = False) -> None:
        """Have a result written by each sink that still works. repeated: only by those that repeat old results."""
        for worker in self.workers:
            if worker.sink.repeats or not repeated:
                worker.put(result)

    @property
    def wants_end(self) -> bool:
        """Whether a sink, such as a window that was closed, wants the stream to end."""
        return any(worker.wants_end for worker in self.workers)

    def close(self) -> list[FrameSink]:
        """Close all; the sinks that did not finish in time."""
        return [worker.sink for worker in self.workers if not worker.close()]

"""The runner of one machine: processes that each open the engine once and do one unit after another."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from typing import Any

from edgeseg.batch.process_count import ProcessCount
from edgeseg.batch.units import Unit
from edgeseg.child import request_line, start_child
from edgeseg.errors import UnavailableError
from edgeseg.measure.device import available_threads
from edgeseg.measure.memory import free_mib
from edgeseg.progress import Progress, silent

POLL_SECONDS = 0.2
STOP_SECONDS = 15.0  # for the units in progress to end
MOST_EARLY_DEATHS = 3
STDERR = 2
SEGMENT_VIDEO = "edgeseg.batch.unit:SegmentVideo"


class Worker:
    """A process of `edgeseg.batch.worker`. unit: that it does at the moment; frames: of it."""

    def __init__(self, request: Mapping[str, Any], messages: queue.SimpleQueue[tuple[Worker, Any]]) -> None:
        self.unit: Unit | None = None
        self.frames = 0
        self.is_ready = False
        self._messages = messages
        self._process: subprocess.Popen[bytes] = start_child("edgeseg.batch.worker", stderr=STDERR)
        self._write(request_line(request))
        self._reader = threading.Thread(target=self._read, name="edgeseg-worker", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def begin(self, unit: Unit) -> None:
        """Give it a unit."""
        self.unit, self.frames = unit, 0
        self._write(json.dumps(dataclasses.asdict(unit)).encode() + b"\n")

    def stop(self) -> None:
        """Have it end without finishing its unit."""
        assert self._process.stdin
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def close(self, seconds: float = STOP_SECONDS) -> None:
        """Wait for its end, and kill it where it goes on."""
        self.stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout
        self._process.stdout.close()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError):  # it died: the end of its stdout says so
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # a line that the end of the process cut off
                self._messages.put((self, json.loads(line)))
        self._messages.put((self, None))


class LocalRunner:
    """Does units in processes of this machine. `rows` may be called once.

    work: "module:Class", called as `SegmentVideo` is. options: of its constructor. processes: how many; None for as
    many as pay, up to `most`. stop: ends the run; units in progress are not finished. on_frames: called with the frames
    of all processes.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        work: str = SEGMENT_VIDEO,
        processes: int | None = None,
        most: int | None = None,
        stop: threading.Event | None = None,
        on_frames: Progress = silent,
    ) -> None:
        self._request = {"work": work, "options": options}
        self.count = ProcessCount(most or available_threads(), processes)
        self._stop, self._on_frames = stop or threading.Event(), on_frames
        self._messages: queue.SimpleQueue[tuple[Worker, Any]] = queue.SimpleQueue()
        self._workers: list[Worker] = []
        self._frames = 0  # of units that are done
        self._early_deaths = 0  # one after another, of processes that were opening the engine

    def rows(self, units: Iterable[Unit]) -> Generator[dict[str, Any], None, None]:
        """The row of each unit, as they are done. The unit of a process that dies is done again, in another one.

        UnavailableError, with the code of the engine, where no process can open it.
        """
        todo = deque(units)
        try:
            while (todo or self._busy()) and not self._stop.is_set():
                self._staff(todo)
                try:
                    worker, message = self._messages.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    continue
                row = self._handle(worker, message, todo)
                if row is not None:
                    yield row
                self.count.update(self._frames + sum(worker.frames for worker in self._workers), self._ready())
            yield from self._last_rows()
        finally:
            self._close()

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.unit is not None]

    def _ready(self) -> int:
        return sum(worker.is_ready for worker in self._workers)

    def _staff(self, todo: deque[Unit]) -> None:
        """Start the processes that are wanted, and give units to those that shall work."""
        wanted = min(self.count.starting, len(todo) + len(self._busy()))
        while len(self._workers) < wanted:
            self._workers.append(Worker(self._request, self._messages))
        for worker in self._workers:
            if todo and worker.is_ready and worker.unit is None and len(self._busy()) < self.count.working:
                worker.begin(todo.popleft())
        idle = [worker for worker in self._workers if worker.is_ready and worker.unit is None]
        if self.count.is_settled:
            for worker in idle[: max(0, len(self._workers) - self.count.working)]:
                self._workers.remove(worker)
                worker.close()

    def _handle(self, worker: Worker, message: Any, todo: deque[Unit]) -> dict[str, Any] | None:
        """Take in a message; the row of a unit where it is one."""
        if message is None:
            if worker in self._workers:
                self._replace(worker, todo)
        elif "ready" in message:
            worker.is_ready = True
            self.count.limit_memory(message["ready"], free_mib())
        elif "failed" in message:
            self._go_on_without(worker, message["failed"])
        elif "frames" in message:
            worker.frames = message["frames"]
            self._on_frames("frames", self._frames + sum(each.frames for each in self._workers), None)
        elif "row" in message:
            row: dict[str, Any] = message["row"]
            worker.unit, worker.frames = None, 0
            self._frames += row["frames"]
            return row
        return None

    def _go_on_without(self, worker: Worker, error: dict[str, str]) -> None:
        """A process could not open the engine: no more are started than the others are."""
        self._workers.remove(worker)
        worker.close()
        if not self._workers:
            raise UnavailableError(error["message"], hint=error["hint"], code=error["code"])
        self.count.limit(len(self._workers))

    def _replace(self, worker: Worker, todo: deque[Unit]) -> None:
        """A process died: its unit comes next, in another process."""
        self._workers.remove(worker)
        worker.close()
        self._early_deaths = 0 if worker.is_ready else self._early_deaths + 1
        if self._early_deaths > MOST_EARLY_DEATHS:
            raise UnavailableError(
                "the processes of the batch die while they open the engine",
                hint="lower --processes: memory may have run out",
                code="ES-BATCH-DIED",
            )
        if worker.unit is not None:
            todo.appendleft(worker.unit)

    def _last_rows(self) -> Generator[dict[str, Any], None, None]:
        """After a stop: end the processes, and give the rows that they had finished."""
        self._close()
        with contextlib.suppress(queue.Empty):
            while True:
                _, message = self._messages.get_nowait()
                if message is not None and "row" in message and message["row"]["marked"]:
                    yield message["row"]

    def _close(self) -> None:
        """End all processes; those that go on, as in the middle of a download, are killed after STOP_SECONDS in all."""
        deadline = time.monotonic() + STOP_SECONDS
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.close(max(0.0, deadline - time.monotonic()))
        self._workers.clear()

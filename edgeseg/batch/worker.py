"""A process that does units: run as `python -m edgeseg.batch.worker`, with the request on stdin, then one unit a line.

stdout carries one JSON object per line: {"ready": resident MiB} or {"failed": error}; for each unit {"frames": n} now
and then, and at its end {"row": row}. It ends when its stdin is closed, without finishing its unit, and after a row
whose error leaves it without its device.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
import time
from typing import Any, TextIO

from edgeseg.batch.rows import OF_DEVICE, error_of
from edgeseg.child import read_request
from edgeseg.measure.memory import resident_mib

REPORT_SECONDS = 0.5


class FrameReports:
    """A `Progress` that reports the frames of a unit, at most every REPORT_SECONDS."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._reported_at = out, 0.0

    def __call__(self, task: str, done: int, total: int | None) -> None:
        """Report that `done` frames are done."""
        now = time.monotonic()
        if now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            send(self._out, {"frames": done})


def send(out: TextIO, message: dict[str, Any]) -> None:
    """Send a message to the parent."""
    out.write(json.dumps(message) + "\n")
    out.flush()


def main() -> int:
    """Make the object of the request's class, then call it with each unit."""
    request = read_request()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print to stdout, too
    stop = threading.Event()
    units: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read_units, args=(units, stop), daemon=True).start()
    module, _, name = request["work"].partition(":")
    try:
        make = getattr(importlib.import_module(module), name)
        work = make(**request["options"], progress=FrameReports(out), stop=stop)
    except Exception as problem:
        send(out, {"failed": error_of(problem)})
        return 1
    send(out, {"ready": resident_mib()})
    for line in iter(units.get, None):
        row = work(json.loads(line))
        send(out, {"row": row})
        if row["error"] is not None and row["error"]["code"] in OF_DEVICE:
            return 1
    return 0


def _read_units(units: queue.SimpleQueue[str | None], stop: threading.Event) -> None:
    for line in sys.stdin:
        units.put(line)
    stop.set()
    units.put(None)


if __name__ == "__main__":
    sys.exit(main())

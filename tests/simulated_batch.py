"""Work of a batch that is only simulated. It imports no library, so that a process of it starts quickly."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from edgeseg.batch.rows import empty_row
from edgeseg.batch.units import Unit
from edgeseg.progress import Progress, silent


def simulated_units(count: int) -> list[Unit]:
    """Units of videos that are not there."""
    return [Unit(f"/videos/{number}.mp4", f"{number:064x}", str(number)) for number in range(count)]


class Simulated:
    """Work without an engine.

    folder: where each unit leaves a file `<digest>.<attempt>`. kill: sources over which the process dies, the first
    time; hang: sources that last until the stop; lose: those over which the device is lost. fails: the constructor
    raises.
    """

    def __init__(
        self,
        folder: str = "",
        kill: tuple[str, ...] = (),
        hang: tuple[str, ...] = (),
        lose: tuple[str, ...] = (),
        fails: bool = False,
        progress: Progress = silent,
        stop: threading.Event | None = None,
    ) -> None:
        if fails:
            raise OSError("no engine")
        self._folder, self._kill, self._hang, self._lose = folder, kill, hang, lose
        self._progress, self._stop = progress, stop or threading.Event()
        print("a library that prints to stdout", flush=True)

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        work = Unit(**unit)
        if self._folder:
            attempt = len(list(Path(self._folder).glob(f"{work.digest}.*")))
            (Path(self._folder) / f"{work.digest}.{attempt}").write_text(f"{os.getpid()} {time.time()}")
            if work.source in self._kill and attempt == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        self._progress("stream", 1, 10)
        if work.source in self._hang:
            self._stop.wait()
        row = {**empty_row(work, "job"), "frames": 10, "marked": True, "worker": os.getpid()}
        if work.source in self._lose:
            row |= {"marked": False, "error": {"code": "ES-MISSING-CUDA", "message": "lost", "hint": ""}}
        return row


class Dies:
    """Work whose process dies before it is ready."""

    def __init__(self, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

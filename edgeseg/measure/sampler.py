"""A thread that takes a sample every now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable

PERIOD_SECONDS = 0.5


class Sampler:
    """Calls `sample` every `period_seconds` between `start` and `stop`."""

    def __init__(self, sample: Callable[[], None], period_seconds: float = PERIOD_SECONDS) -> None:
        self._sample, self._period = sample, period_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="run watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; no sample is under way afterwards."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._period):
            self._sample()

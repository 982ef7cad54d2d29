"""Whether a running stream does its work, for systemd, containers and load balancers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeseg.capture.state import StreamState
from edgeseg.live.metrics import LiveMetrics
from edgeseg.live.status import LiveView, StreamStatus

GRACE_SECONDS = 60.0
ENGINE_SECONDS = 30.0


@dataclass(frozen=True)
class Health:
    """The answer of `/health`. reason: why it is not ok, or ""."""

    reason: str
    streams: dict[str, dict[str, Any]]
    engine_silent_seconds: float

    @property
    def ok(self) -> bool:
        """Whether to answer 200 rather than 503."""
        return not self.reason

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"status": "ok" if self.ok else "failing", **self.__dict__}


class HealthCheck:
    """Ok while a stream works and the engine follows.

    A stream works while it is live, or, for GRACE_SECONDS since the start, while it waits for its first frame. The
    engine follows unless frames arrived for ENGINE_SECONDS without a new engine time. `observe` must be called every
    few seconds.
    """

    def __init__(self, view: LiveView, metrics: LiveMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._view = view
        self._metrics = metrics
        self._clock = clock
        self._results = 0
        self._started = self._progress = clock()

    def observe(self, *, cameras: bool = True) -> Health:
        """The health now. cameras: it fails, too, while no stream works, which no restart mends."""
        now = self._clock()
        statuses = self._view.statuses()
        arriving = any(status.state is StreamState.LIVE and status.source_fps > 0 for status in statuses)
        results = self._metrics.observe()
        if results != self._results or not arriving:
            self._results, self._progress = results, now
        silent = now - self._progress
        streams = {
            status.name: {
                "state": status.state.value,
                "ok": self._works(status, now),
                "seconds": round(status.since, 1),
            }
            for status in statuses
        }
        reason = ""
        if cameras and not any(stream["ok"] for stream in streams.values()):
            reason = "no stream is live"
        elif silent > ENGINE_SECONDS:
            reason = f"frames arrive, but the engine has given no result for {silent:.0f} s"
        return Health(reason, streams, round(silent, 1))

    def _works(self, status: StreamStatus, now: float) -> bool:
        waits = status.state is not StreamState.ENDED and not status.frames and now - self._started < GRACE_SECONDS
        return status.state is StreamState.LIVE or waits

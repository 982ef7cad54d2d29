"""The age of a frame, from the timestamps of its source."""

from __future__ import annotations

DRIFT = 500e-6  # by how much the clock of a camera may run slow against ours
JUMP_SECONDS = 0.5  # timestamps that go back by more are those of a new clock; B-frames go back by less


class CaptureClock:
    """Converts the timestamps of one connection to our monotonic clock.

    A frame that was never delayed gives the smallest difference between arrival and timestamp. Every later frame is
    as old as its own difference exceeds that one, so that frames of a backlog are known to be old however fast they
    arrive. The smallest difference may rise by 500 ppm, for clocks drift.
    """

    def __init__(self) -> None:
        self._base: float | None = None
        self._at = self._pts_seconds = 0.0

    def captured_at(self, pts_seconds: float, arrived_at: float) -> float:
        """The time at which the frame left the camera, as far as one can know: never after `arrived_at`."""
        offset = arrived_at - pts_seconds
        if self._base is None or pts_seconds < self._pts_seconds - JUMP_SECONDS:
            self._base = offset
        else:
            self._base = min(offset, self._base + DRIFT * max(0.0, arrived_at - self._at))
        self._at, self._pts_seconds = arrived_at, pts_seconds
        return min(arrived_at, self._base + pts_seconds)  # the sum may be rounded up

"""The age of a frame, from the timestamps of its source."""

from __future__ import annotations

DRIFT = 500e-6  # by how much the clock of a camera may run slow against ours
PACE_SECONDS = 0.25  # over which a stream that was late shows that it keeps pace again
PACE_OFFSET = 0.1  # seconds by which it may be slower or faster in that time
PACE_PATIENCE_SECONDS = 5.0  # an irregular network never keeps pace: its frames count again after so long
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


class Pace:
    """Whether frames arrive as fast as they were made.

    Frames that catch up after a delay may all be late by more than a `CaptureClock` can know, because its connection
    may have begun late. So after a doubt they do not count until arrival keeps pace with their timestamps.
    """

    def __init__(self, *, in_doubt: bool = False) -> None:
        self._in_doubt = in_doubt
        self._since: float | None = None
        self._window = (0.0, 0.0)

    def doubt(self) -> None:
        """Note that a frame was too old."""
        self._in_doubt, self._since = True, None

    def is_kept(self, pts_seconds: float, arrived_at: float) -> bool:
        """Whether there is no doubt about this frame, the next one to arrive."""
        if not self._in_doubt:
            return True
        offset = arrived_at - pts_seconds
        if self._since is None:
            self._since, self._window = arrived_at, (arrived_at, offset)
        began_at, first_offset = self._window
        if arrived_at - began_at >= PACE_SECONDS:
            is_steady = abs(offset - first_offset) <= PACE_OFFSET
            self._in_doubt = not is_steady and arrived_at - self._since < PACE_PATIENCE_SECONDS
            self._window = arrived_at, offset
        return not self._in_doubt

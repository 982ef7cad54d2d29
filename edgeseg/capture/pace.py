"""Whether a stream that was late keeps pace again."""

from __future__ import annotations

WINDOW_SECONDS = 0.25  # over which a stream that was late shows that it keeps pace again
MOST_OFFSET = 0.1  # seconds by which it may be slower or faster in that time
PATIENCE_SECONDS = 5.0  # an irregular network never keeps pace: its frames count again after so long


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
        if arrived_at - began_at >= WINDOW_SECONDS:
            is_steady = abs(offset - first_offset) <= MOST_OFFSET
            self._in_doubt = not is_steady and arrived_at - self._since < PATIENCE_SECONDS
            self._window = arrived_at, offset
        return not self._in_doubt

"""Times of packets that every container of FFmpeg accepts."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

REORDER_SECONDS = 10  # no B-frame is sent so long after the frame that is shown behind it
LEAST_STEP_SECONDS = Fraction(1, 10_000)


class Timeline:
    """Restates the times of one stream: none is missing or negative, and decoding times rise.

    Distances between presentation times are kept, except where the clock of the source is set back: time goes on then.
    time_base: of the packets.
    """

    def __init__(self, time_base: Fraction) -> None:
        self._margin = round(REORDER_SECONDS / time_base)
        self._step = max(1, round(LEAST_STEP_SECONDS / time_base))
        self._shift: int | None = None
        self._newest = self._last_dts = 0

    def stamp(self, packet: Any) -> None:
        """Set `pts` and `dts` of the next packet in the order of decoding."""
        stated = packet.pts if packet.pts is not None else packet.dts
        if stated is None and self._shift is None:
            stated = 0  # FFmpeg leaves out the time of the first RTP packet, from which it counts
        if stated is None:
            pts = self._newest + self._step
        else:
            if self._shift is None:
                self._shift = self._margin - stated
            pts = stated + self._shift
            if pts <= self._last_dts:  # the clock was set back
                self._shift += self._newest + self._step - pts
                pts = self._newest + self._step
        self._newest = max(self._newest, pts)
        self._last_dts = max(self._last_dts + self._step, pts - self._margin)
        packet.pts, packet.dts = max(pts, self._last_dts), self._last_dts

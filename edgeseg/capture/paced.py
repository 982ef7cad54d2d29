"""A recording that plays like a camera: at its own speed, and late frames are lost."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

from edgeseg.capture.source import MAX_AGE_SECONDS
from edgeseg.video.frame import Frame
from edgeseg.video.source import FrameSource, SourceInfo, SourceKind


class PacedSource(FrameSource):
    """The frames of `recording` at the times that they state. loops: from its end it begins again.

    wait: sleeps for so many seconds, or returns True at once when the source is closed.
    """

    kind: SourceKind = "live"
    max_age_seconds = MAX_AGE_SECONDS

    def __init__(
        self,
        recording: FrameSource,
        *,
        loops: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        super().__init__(self._info_of(recording, loops))
        self._recording, self._loops, self._clock = recording, loops, clock
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait

    @staticmethod
    def _info_of(recording: FrameSource, loops: bool) -> SourceInfo:
        return dataclasses.replace(recording.info, frames=None) if loops else recording.info

    def files(self) -> tuple[Path, ...]:
        """The files of the recording."""
        return self._recording.files()

    def close(self) -> None:
        """End the iteration at once."""
        super().close()
        self._closing.set()
        self._recording.close()

    def _frames(self) -> Generator[Frame, None, None]:
        index, began, offset = 0, self._clock(), 0.0
        while True:
            end = offset
            for frame in self._recording:
                due = began + offset + frame.pts_seconds
                if self._wait(max(0.0, due - self._clock())):
                    return
                self.info = self._info_of(self._recording, self._loops)
                end = offset + frame.pts_seconds
                yield Frame(
                    index,
                    end,
                    frame.width,
                    frame.height,
                    rgb=frame.rgb,
                    planes=frame.planes,
                    captured_at=self._clock(),
                    name=frame.name,
                )
                index += 1
            self.losses[:] = self._recording.losses  # of the last pass: a loop has no end
            if not self._loops or index == 0 or self._closing.is_set():
                return
            offset = end + float(1 / self.info.fps)

"""Where the decoding thread of a stream leaves frames, and the inference thread takes them."""

from __future__ import annotations

import threading
from collections import deque

from edgeseg.video.frame import Frame

RECORDING_DEPTH = 2


class Inbox:
    """Frames of one stream that wait for the engine.

    newest: one slot, in which a new frame replaces the one before; that one is counted in `dropped`. Otherwise `put`
    waits until there is room, for of a recording every frame counts. changed: a condition that all inboxes of a runner
    share, notified at each change.
    """

    def __init__(self, changed: threading.Condition, *, newest: bool) -> None:
        self._changed, self._newest = changed, newest
        self._frames: deque[Frame] = deque()
        self.dropped = 0
        self.ended = False
        self.error: BaseException | None = None

    def put(self, frame: Frame) -> bool:
        """Leave a frame; False once the inbox has ended."""
        with self._changed:
            while not self._newest and len(self._frames) >= RECORDING_DEPTH and not self.ended:
                self._changed.wait()
            if self.ended:
                return False
            if self._newest and self._frames:
                self._frames.clear()
                self.dropped += 1
            self._frames.append(frame)
            self._changed.notify_all()
        return True

    def take(self) -> Frame | None:
        """The oldest frame; None if none waits. The caller holds the condition."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self._changed.notify_all()
        return frame

    def is_ready(self) -> bool:
        """Whether a frame waits. The caller holds the condition."""
        return bool(self._frames)

    def is_finished(self) -> bool:
        """Whether no frame waits and none will come. The caller holds the condition."""
        return self.ended and not self._frames

    def end(self, error: BaseException | None = None) -> None:
        """No frame will come; a `put` that waits returns."""
        with self._changed:
            self.ended = True
            self.error = self.error or error
            self._changed.notify_all()

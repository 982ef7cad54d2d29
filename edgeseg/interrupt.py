"""Ctrl-C that waits until a frame is whole: an encoder that is torn out of its work counts a frame it did not write."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Hold:
    """Where Ctrl-C waits: `with hold: ...` ends before KeyboardInterrupt is raised. A second Ctrl-C does not wait."""

    def __init__(self) -> None:
        self._held = self._pending = False

    def __enter__(self) -> Hold:
        self._held = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._held = False
        if self._pending and kind is None:
            self._pending = False
            raise KeyboardInterrupt

    @property
    def is_pending(self) -> bool:
        """Whether Ctrl-C came and waits."""
        return self._pending

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """What happens at Ctrl-C."""
        if self._held and not self._pending:
            self._pending = True
        else:
            raise KeyboardInterrupt


@contextmanager
def interrupts_held() -> Iterator[Hold]:
    """A `Hold` for the block. In another thread than the main one, which no signal reaches, it does nothing."""
    hold = Hold()
    if threading.current_thread() is not threading.main_thread():
        yield hold
        return
    before = signal.signal(signal.SIGINT, hold.on_signal)
    try:
        yield hold
    finally:
        signal.signal(signal.SIGINT, before)

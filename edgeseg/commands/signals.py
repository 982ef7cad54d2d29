"""Signals as the command line takes them: the first one asks a stream to stop, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C; kill, timeout, systemctl and docker stop; a closed terminal


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and SIGHUP set. A second Ctrl-C raises KeyboardInterrupt at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    present = [each for name in NAMES if (each := getattr(signal, name, None)) is not None]
    taken = [each for each in present if signal.getsignal(each) is not signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {each: signal.signal(each, on_signal) for each in taken}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Signals on the command line: a stream stops at the first one; every other command ends as an exception does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPT = ("SIGINT",)  # Ctrl-C
TERMINATE = ("SIGTERM", "SIGHUP")  # kill, timeout, systemctl stop and docker stop; a closed terminal


class Terminated(BaseException):
    """SIGTERM or SIGHUP came. number: which of them."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def handled(names: tuple[str, ...], on_signal: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `on_signal` for these signals within the block; not for ignored ones (nohup ignores SIGHUP)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    present = [number for name in names if (number := getattr(signal, name, None)) is not None]
    taken = [number for number in present if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and SIGHUP set.

    A second Ctrl-C raises KeyboardInterrupt at once, a second SIGTERM Terminated. A closed terminal may send SIGHUP
    several times, so a second one does nothing.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        if stop.is_set() and number == signal.SIGTERM:
            raise Terminated(number)
        stop.set()

    with handled(INTERRUPT + TERMINATE, on_signal):
        yield stop


@contextmanager
def terminated_by_exception() -> Iterator[None]:
    """Raise Terminated at SIGTERM or SIGHUP, so that temporary files are removed. A second one ends the process."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Terminated(number)

    with handled(TERMINATE, on_signal):
        yield


def end_by_signal(number: int) -> None:
    """End this process as the signal would have ended it, so that its parent sees why."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)

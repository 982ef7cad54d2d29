from __future__ import annotations

import os
import signal
import threading

import pytest

from edgeseg.commands.signals import Terminated, stopped_by_signals
from edgeseg.interrupt import interrupts_held

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_waits_for_the_end_of_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_held() as hold, hold:
        ctrl_c()
        done.append("whole")
    assert done == ["whole"]


def test_outside_the_block_and_the_second_time_it_does_not_wait() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        ctrl_c()
        done.append("not reached")
    with pytest.raises(KeyboardInterrupt), interrupts_held() as hold, hold:
        ctrl_c()
        ctrl_c()
        done.append("not reached")
    assert done == []


def test_an_error_in_the_block_is_not_hidden_by_ctrl_c() -> None:
    with pytest.raises(RuntimeError, match="encoder"), interrupts_held() as hold, hold:
        ctrl_c()
        raise RuntimeError("encoder")


def test_the_handler_that_was_there_is_there_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts_held():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_in_another_thread_nothing_is_touched() -> None:
    before = signal.getsignal(signal.SIGINT)
    found = []

    def work() -> None:
        with interrupts_held() as hold, hold:
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("second", "ends"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_stream_stops_at_the_first_signal_and_ends_at_once_at_the_second(
    first: signal.Signals, second: signal.Signals, ends: type[BaseException]
) -> None:
    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored
    try:
        with pytest.raises(ends), stopped_by_signals() as stop:
            signal.raise_signal(first)
            assert stop.is_set()
            signal.raise_signal(signal.SIGHUP)  # a closed terminal may send several
            signal.raise_signal(second)
    finally:
        signal.signal(signal.SIGHUP, before)

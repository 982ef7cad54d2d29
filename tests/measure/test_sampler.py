"""The thread that takes samples."""

from __future__ import annotations

import threading

from edgeseg.measure.sampler import Sampler


def test_samples_are_taken_until_it_is_stopped() -> None:
    taken, third = [0], threading.Event()

    def sample() -> None:
        taken[0] += 1
        if taken[0] == 3:
            third.set()

    sampler = Sampler(sample, period_seconds=0)
    sampler.start()
    assert third.wait(60)
    sampler.stop()
    count = taken[0]
    assert count >= 3
    assert not [thread for thread in threading.enumerate() if thread.name == "run watch"]
    assert taken[0] == count

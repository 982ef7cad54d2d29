"""Frames that wait for the engine."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgeseg.live.inbox import RECORDING_DEPTH, Inbox
from edgeseg.video.frame import Frame

PATIENCE_SECONDS = 60.0  # far more than this takes: only a hang reaches it


def frame(index: int) -> Frame:
    return Frame.from_rgb(index, index / 25, np.zeros((2, 2, 3), np.uint8))


def taken(inbox: Inbox, changed: threading.Condition) -> list[int]:
    """The indices of all frames that wait."""
    indices = []
    with changed:
        while inbox.is_ready():
            waiting = inbox.take()
            assert waiting is not None
            indices.append(waiting.index)
        assert inbox.take() is None
    return indices


def test_a_new_frame_of_a_live_stream_replaces_the_one_that_waits() -> None:
    changed = threading.Condition()
    inbox = Inbox(changed, newest=True)
    assert [inbox.put(frame(index)) for index in range(5)] == [True] * 5
    assert (taken(inbox, changed), inbox.dropped) == ([4], 4)
    inbox.put(frame(5))
    assert (taken(inbox, changed), inbox.dropped) == ([5], 4)


def test_of_a_recording_every_frame_comes_and_its_decoder_waits() -> None:
    changed = threading.Condition()
    inbox, put = Inbox(changed, newest=False), list[int]()

    def decode() -> None:
        for index in range(50):
            assert inbox.put(frame(index))
            put.append(index)
        inbox.end()

    decoder = threading.Thread(target=decode)
    decoder.start()
    indices: list[int] = []
    with changed:
        while not inbox.is_finished():
            if inbox.is_ready():
                assert len(put) <= len(indices) + RECORDING_DEPTH + 1
                waiting = inbox.take()
                assert waiting is not None
                indices.append(waiting.index)
            else:
                assert changed.wait(PATIENCE_SECONDS)
    decoder.join(PATIENCE_SECONDS)
    assert (indices, inbox.dropped) == (list(range(50)), 0)


def test_the_end_frees_a_decoder_that_waits_for_room() -> None:
    changed = threading.Condition()
    inbox, answers = Inbox(changed, newest=False), list[bool]()
    for index in range(RECORDING_DEPTH):
        inbox.put(frame(index))
    decoder = threading.Thread(target=lambda: answers.append(inbox.put(frame(9))))
    decoder.start()
    inbox.end()
    decoder.join(PATIENCE_SECONDS)
    assert answers == [False]
    assert taken(inbox, changed) == list(range(RECORDING_DEPTH))


@pytest.mark.parametrize("newest", [True, False])
def test_frames_that_wait_at_the_end_are_still_taken(newest: bool) -> None:
    changed = threading.Condition()
    inbox = Inbox(changed, newest=newest)
    inbox.put(frame(0))
    inbox.end()
    assert inbox.put(frame(1)) is False
    assert (inbox.is_finished(), inbox.dropped) == (False, 0)
    assert taken(inbox, changed) == [0]
    assert inbox.is_finished()


def test_the_first_error_is_kept() -> None:
    inbox, first = Inbox(threading.Condition(), newest=True), ValueError("first")
    inbox.end(first)
    inbox.end(ValueError("second"))
    inbox.end()
    assert inbox.error is first

"""A recording that plays like a camera."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from small_clips import make_clip
from small_streams import Drawn

from edgeseg.capture.paced import PacedSource
from edgeseg.errors import FormatError
from edgeseg.video.frame import Frame
from edgeseg.video.source import FrameSource, Loss, SourceInfo, open_source


class Time:
    """A clock that only waiting moves; `closed` ends a wait at once."""

    def __init__(self) -> None:
        self.now, self.waits, self.closed = 1000.0, list[float](), False

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += 0 if self.closed else seconds
        return self.closed


class Uneven(FrameSource):
    """Frames at 0, 0.1 and 0.5 s, of which the last one is larger; a loss in each pass."""

    def __init__(self) -> None:
        super().__init__(SourceInfo(8, 4, Fraction(10), 3, "uneven"))

    def _frames(self) -> Generator[Frame, None, None]:
        for index, (pts, width) in enumerate(((0.0, 8), (0.1, 8), (0.5, 16))):
            self.info = SourceInfo(width, 4, Fraction(10), 3, "uneven")
            yield Frame.from_rgb(index, pts, np.full((4, width, 3), index, np.uint8), name=f"{index}.png")
        self.losses.append(Loss("ES-SOURCE-SKIPPED", "uneven: one was left out"))


def paced(recording: FrameSource, time: Time, *, loops: bool = False) -> PacedSource:
    return PacedSource(recording, loops=loops, clock=time.clock, wait=time.wait)


def test_each_frame_comes_at_the_time_that_it_states() -> None:
    time = Time()
    source = paced(Uneven(), time)
    frames = list(source)
    assert source.kind == "live"
    assert time.waits == pytest.approx([0, 0.1, 0.4])
    assert [frame.captured_at for frame in frames] == pytest.approx([1000, 1000.1, 1000.5])
    assert [(frame.index, frame.pts_seconds, frame.name) for frame in frames] == [
        (0, 0.0, "0.png"), (1, 0.1, "1.png"), (2, 0.5, "2.png"),
    ]  # fmt: skip
    assert [int(frame.rgb()[0, 0, 0]) for frame in frames] == [0, 1, 2]
    assert (source.info.width, source.info.frames, source.warnings) == (16, 3, ["uneven: one was left out"])


def test_a_frame_that_is_late_is_not_waited_for_and_the_next_ones_are_on_time() -> None:
    time = Time()
    frames = iter(paced(Drawn(4), time))
    next(frames)
    time.now += 0.06  # the consumer is slow
    assert [next(frames).captured_at for _ in range(3)] == pytest.approx([1000.06, 1000.08, 1000.12])
    assert time.waits == pytest.approx([0, 0, 0.02, 0.04])


def test_a_loop_begins_again_one_frame_after_the_last_one_and_has_no_end() -> None:
    time = Time()
    source = paced(Uneven(), time, loops=True)
    assert source.info.frames is None
    frames = [frame for frame, _ in zip(source, range(7))]
    assert [frame.index for frame in frames] == list(range(7))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([0, 0.1, 0.5, 0.6, 0.7, 1.1, 1.2])
    assert [frame.captured_at for frame in frames] == pytest.approx([1000 + frame.pts_seconds for frame in frames])
    assert source.info.frames is None
    assert source.warnings == ["uneven: one was left out"]  # of the last pass, not of each


def test_a_loop_of_nothing_ends() -> None:
    assert list(paced(Drawn(0), Time(), loops=True)) == []


def test_close_ends_a_wait_and_a_loop() -> None:
    time = Time()
    source = paced(Drawn(100), time, loops=True)
    frames = iter(source)
    assert [next(frames).index, next(frames).index] == [0, 1]
    source.close()
    time.closed = True
    assert list(frames) == []
    assert source.is_closed()


def test_close_ends_the_wait_of_a_real_clock() -> None:
    class Slow(Uneven):
        def _frames(self) -> Generator[Frame, None, None]:
            for index in range(3):
                yield Frame.from_rgb(index, 1000.0 * index, np.zeros((4, 8, 3), np.uint8))

    slow = PacedSource(Slow())
    frames = iter(slow)
    next(frames)
    slow.close()
    assert list(frames) == []


def test_a_uri_says_whether_a_recording_plays_like_a_camera() -> None:
    assert open_source("test://street?size=32x32&live=0").kind == "recording"
    live = open_source("test://street?size=32x32&live=1&loop=1&frames=2")
    assert isinstance(live, PacedSource)
    assert live.info.frames is None
    with pytest.raises(FormatError) as problem:
        open_source("test://street?size=32x32&loop=1")
    assert problem.value.code == "ES-FORMAT-OPTION"


def test_a_recording_that_is_played_names_its_file_so_that_no_output_replaces_it(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 2)
    with open_source(f"{clip}?live=1") as source:
        assert source.files() == (clip,)

"""What every source of the table must do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_clips import make_clip, make_images, modules_that_define

from edgeseg.errors import UnknownNameError
from edgeseg.video import SOURCES
from edgeseg.video.frame import Frame
from edgeseg.video.source import FrameSource, open_source

Opener = Callable[[], FrameSource]


KINDS = {"file": "file", "images": "images", "test": "test", "paced": "test", "exec": "exec"}


@pytest.fixture(params=KINDS)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens one source of each module, and of each way in which it works; URLs and cameras have tests of their own."""
    clip = make_clip(tmp_path / "clip.mkv")
    uris = {
        "file": make_clip(tmp_path / "clip.mp4"),
        "images": make_images(tmp_path / "images"),
        "test": "test://street?size=64x48&frames=3",
        "paced": "test://street?size=64x48&frames=3&fps=100&live=1",
        "exec": f"exec:cat {clip}",  # ends at once, and is started again
    }
    return lambda: open_source(uris[request.param])


def frames_of(source: FrameSource) -> list[Frame]:
    """The frames of a recording, the first ones of a live source."""
    return list(source if source.kind == "recording" else itertools.islice(source, 3))


def test_every_module_is_opened_by_these_tests() -> None:
    assert {SOURCES[kind] for kind in KINDS.values()} == set(SOURCES.values())


def test_table_lists_every_module() -> None:
    assert modules_that_define("source_from_address") == set(SOURCES.values())


def test_frames_keep_the_contract(opener: Opener) -> None:
    with opener() as source:
        frames = frames_of(source)
        assert frames
        assert [frame.index for frame in frames] == list(range(len(frames)))
        times = [frame.pts_seconds for frame in frames]
        assert times == sorted(set(times))
        for frame in frames:
            rgb = frame.rgb()
            assert (frame.width, frame.height) == (source.info.width, source.info.height)
            assert rgb.shape == (frame.height, frame.width, 3)
            assert rgb.dtype == np.uint8
            assert rgb.flags.c_contiguous
            assert not rgb.flags.writeable
            assert frame.rgb() is rgb
        assert all((frame.captured_at is None) == (source.kind == "recording") for frame in frames)
        assert [frame.sequence for frame in frames] == sorted({frame.sequence for frame in frames})
        if source.kind == "recording":
            assert source.info.frames == len(frames)
            assert source.warnings == []


def test_frames_outlive_their_source(opener: Opener) -> None:
    with opener() as source:
        first = next(iter(source))
    assert first.rgb().shape == (first.height, first.width, 3)


def test_a_recording_begins_again(opener: Opener) -> None:
    with opener() as source:
        if source.kind == "live":
            return
        first, second = list(source), list(source)
    assert len(first) == len(second)
    assert all(np.array_equal(a.rgb(), b.rgb()) for a, b in zip(first, second))
    assert [a.pts_seconds for a in first] == [b.pts_seconds for b in second]


def test_closing_early_ends_the_iteration(opener: Opener) -> None:
    source = opener()
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    with pytest.raises(ValueError, match="this source is closed"):
        iter(source)


def test_closing_an_iteration_leaves_the_source_usable(opener: Opener) -> None:
    with opener() as source:
        frames = iter(source)
        next(frames)
        frames.close()
        assert next(iter(source)).index == 0


def test_a_source_can_be_closed_unread(opener: Opener) -> None:
    source = opener()
    source.close()
    with pytest.raises(ValueError, match="this source is closed"):
        iter(source)


@pytest.mark.parametrize(
    ("uri", "value", "hint"),
    [
        ("tset://street", "tset", "test"),
        ("camara:0", "camara", "camera"),
        ("test://stret", "stret", "street"),
        ("test://street?sed=1", "sed", "seed"),
        ("images:.?fsp=1", "fsp", "fps"),
        ("camera:0?widht=1", "widht", "width"),
        ("clip.mp4?fps=1", "fps", "sample"),
    ],
)
def test_unknown_names_say_the_nearest(uri: str, value: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        open_source(uri)
    assert value in caught.value.message
    assert hint in caught.value.hint

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import SizeError
from edgeseg.video.frame import Frame

RGB = np.zeros((4, 6, 3), np.uint8)


def test_pixels_are_made_once_and_only_when_asked_for() -> None:
    made = []
    frame = Frame(0, 0.0, 6, 4, rgb=lambda: made.append(1) or RGB)
    assert made == []
    assert frame.rgb() is frame.rgb()
    assert made == [1]


def test_contiguous_pixels_are_kept_uncopied_and_read_only() -> None:
    rgb = RGB.copy()
    frame = Frame.from_rgb(0, 0.0, rgb)
    assert np.shares_memory(frame.rgb(), rgb)
    assert rgb.flags.writeable  # the giver's own array is left as it was
    with pytest.raises(ValueError, match="read-only"):
        frame.rgb()[0] = 1


def test_strided_pixels_become_contiguous() -> None:
    flipped = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)[:, ::-1]
    assert Frame.from_rgb(0, 0.0, flipped).rgb().flags.c_contiguous


def test_what_a_frame_does_not_know_is_none() -> None:
    frame = Frame.from_rgb(3, 0.12, RGB)
    assert frame.planes() is None
    assert (frame.captured_at, frame.sequence, frame.name) == (None, 3, "")
    assert (frame.size, repr(frame)) == ((4, 6), "Frame(3, 0.120 s, 6x4)")


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: Frame.from_rgb(0, 0.0, RGB[0]), "a frame has the shape (H, W, 3), not (6, 3)"),
        (
            lambda: Frame.from_rgb(0, 0.0, RGB.astype(np.float32)),
            "(4, 6, 3)",
        ),
        (
            lambda: Frame(0, 0.0, 6, 5, rgb=lambda: RGB).rgb(),
            "(5, 6, 3)",
        ),
        (lambda: Frame(0, 0.0, 0, 5, rgb=lambda: RGB), "0x5"),
    ],
)
def test_wrong_pixels_are_named(make, value: str) -> None:
    with pytest.raises(SizeError) as caught:
        make()
    assert value in caught.value.message


@pytest.mark.parametrize(("index", "pts_seconds"), [(-1, 0.0), (0, float("nan"))])
def test_a_frame_needs_a_place_in_time(index: int, pts_seconds: float) -> None:
    with pytest.raises(ValueError, match="index"):
        Frame(index, pts_seconds, 6, 4, rgb=lambda: RGB)

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.pixels.legend import Legend, legend_strip

COLORS = {"road": (128, 64, 128), "naïve Straße": (0, 0, 0), "漢字": (255, 255, 0)}


@pytest.mark.parametrize(("width", "height"), [(640, 360), (641, 359), (3840, 2160)])
def test_colours_are_exact_and_the_rest_of_the_frame_is_untouched(width: int, height: int) -> None:
    frame = np.full((height, width, 3), 200, np.uint8)
    Legend(COLORS).draw(frame)
    for color in COLORS.values():
        assert (frame == color).all(2).sum() >= 36  # a swatch of 6x6 at least
    changed = (frame != 200).any(2)
    assert not changed[:, int(0.4 * width) :].any()
    assert not changed[height // 2 :].any()


def test_each_size_of_frame_has_a_panel_of_its_own() -> None:
    legend, drawn = Legend(COLORS), []
    for height in (360, 720, 360):
        frame = np.zeros((height, height * 2, 3), np.uint8)
        legend.draw(frame)
        drawn.append(frame)
    assert np.array_equal(drawn[0], drawn[2])
    assert drawn[1].sum() > 2 * drawn[0].sum()


@pytest.mark.parametrize("size", [(1, 1), (9, 20), (40, 60)])
def test_a_frame_without_room_has_no_legend(size: tuple[int, int]) -> None:
    frame = np.full((*size, 3), 7, np.uint8)
    Legend(COLORS).draw(frame)
    assert (frame == 7).all()


def test_classes_that_do_not_fit_are_counted_and_left_out() -> None:
    colors = {f"class {n}": (n + 1, 255 - n, 77) for n in range(150)}
    frame = np.zeros((360, 640, 3), np.uint8)
    Legend(colors).draw(frame)
    shown = sum((frame == color).all(2).any() for color in colors.values())
    assert 10 < shown < 100
    assert not frame[:, 256:].any()


def test_a_strip_has_as_many_lines_as_it_needs() -> None:
    assert legend_strip(COLORS, 1000).shape == (26, 1000, 3)
    assert legend_strip(COLORS, 100).shape == (3 * 26, 100, 3)

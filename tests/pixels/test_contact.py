from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import DataError, SizeError
from edgeseg.pixels.contact import GAP, contact_sheet
from edgeseg.pixels.legend import BACKGROUND


def plain(size: tuple[int, int], value: int) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def test_grid_with_gaps() -> None:
    page = contact_sheet([plain((50, 100), 100 + i) for i in range(3)], columns=2, width=2 * 40 + 3 * GAP)
    assert page.shape == (2 * 20 + 3 * GAP, 2 * 40 + 3 * GAP, 3)
    for i, (top, left) in enumerate([(GAP, GAP), (GAP, 40 + 2 * GAP), (20 + 2 * GAP, GAP)]):
        assert np.all(page[top : top + 20, left : left + 40] == 100 + i)
    shown = 3 * 20 * 40
    assert np.count_nonzero(page[..., 0] == BACKGROUND) == page.shape[0] * page.shape[1] - shown


def test_other_aspects_are_letterboxed() -> None:
    page = contact_sheet([plain((40, 40), 1), plain((20, 40), 2), plain((40, 10), 3)], 3, 3 * 40 + 4 * GAP)
    cells = [page[GAP : GAP + 40, GAP + i * (40 + GAP) :][:, :40, 0] for i in range(3)]
    assert np.all(cells[0] == 1)
    assert np.all(cells[1][10:30] == 2)
    assert np.all(cells[1][:10] == BACKGROUND)
    assert np.all(cells[1][30:] == BACKGROUND)
    assert np.all(cells[2][:, 15:25] == 3)
    assert np.count_nonzero(cells[2] == 3) == 400


@pytest.mark.parametrize("width", [97, 100, 101])
def test_page_is_as_wide_as_asked(width: int) -> None:
    page = contact_sheet([plain((1000, 30), 9), plain((3, 2000), 9)], columns=3, width=width)
    assert page.shape[1] == width


def test_errors() -> None:
    with pytest.raises(DataError, match="a contact sheet of no images"):
        contact_sheet([], 2, 100)
    with pytest.raises(SizeError) as caught:
        contact_sheet([plain((4, 4), 0)], 30, 100)
    assert caught.value.message == "30 columns do not fit on a page 100 pixels wide"
    assert caught.value.hint == "ask for 1 to 19 columns, or a wider page"
    assert contact_sheet([plain((4, 4), 0)], 19, 100).shape[1] == 100
    with pytest.raises(SizeError):
        contact_sheet([plain((4, 4), 0)], 0, 100)


def test_a_legend_goes_below_the_images() -> None:
    images = [plain((50, 100), 1)]
    page, bare = contact_sheet(images, 1, 100, {"road": (1, 200, 3), "sky": (250, 0, 9)}), contact_sheet(images, 1, 100)
    assert page.shape[1] == 100
    assert np.array_equal(page[: len(bare)], bare)
    strip = page[len(bare) :]
    for color in ((1, 200, 3), (250, 0, 9)):
        assert (strip == color).all(2).sum() > 50

"""Many images on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, SizeError
from edgeseg.pixels.legend import BACKGROUND, Color, legend_strip

GAP = 4  # pixels between the images and around them


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], columns: int, width: int, legend: Mapping[str, Color] | None = None
) -> NDArray[np.uint8]:
    """The rgb `images`, any sizes, row by row in `columns` columns on a page `width` pixels wide.

    Each cell has the aspect of the first image; the others are scaled to fit inside it, centred. legend: colours by
    name, which go below the images.
    """
    if not images:
        raise DataError("a contact sheet of no images", hint="pass at least one image")
    cell = _cell_size(images[0].shape, columns, width)
    rows = -(-len(images) // columns)
    page = np.full((rows * (cell[0] + GAP) + GAP, width, 3), BACKGROUND, np.uint8)
    for i, rgb in enumerate(images):
        top = GAP + i // columns * (cell[0] + GAP)
        left = GAP + i % columns * (cell[1] + GAP)
        _place(rgb, page[top : top + cell[0], left : left + cell[1]])
    return np.vstack([page, legend_strip(legend, width)]) if legend else page


def _cell_size(shape: tuple[int, ...], columns: int, width: int) -> tuple[int, int]:
    cell_width = (width - GAP) // columns - GAP if columns > 0 else 0
    if cell_width < 1:
        raise SizeError(
            f"{columns} columns do not fit on a page {width} pixels wide",
            hint=f"ask for 1 to {max((width - GAP) // (GAP + 1), 1)} columns, or a wider page",
        )
    return max(round(shape[0] * cell_width / shape[1]), 1), cell_width


def _place(rgb: NDArray[np.uint8], cell: NDArray[np.uint8]) -> None:
    """Scale `rgb` to fit inside `cell` and write it into its middle."""
    scale = min(cell.shape[0] / rgb.shape[0], cell.shape[1] / rgb.shape[1])
    height = min(max(round(rgb.shape[0] * scale), 1), cell.shape[0])
    width = min(max(round(rgb.shape[1] * scale), 1), cell.shape[1])
    rule = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (cell.shape[0] - height) // 2, (cell.shape[1] - width) // 2
    cell[top : top + height, left : left + width] = cv2.resize(rgb, (width, height), interpolation=rule)

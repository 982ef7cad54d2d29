"""Where int8 changes the labels, as a picture: which pixels flip, and which engine is right there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.autotune.judge import Picture, Rgb
from edgeseg.datasets.matching import ClassMatch
from edgeseg.errors import SizeError
from edgeseg.files import whole_file
from edgeseg.pixels.contact import GAP, contact_sheet
from edgeseg.pixels.resize import resize_rgb
from edgeseg.segmenter import Segmenter

WORSE, BETTER, OTHER, UNJUDGED = (255, 40, 40), (40, 230, 60), (255, 220, 0), (255, 80, 255)
LEGEND = "red: wrong in int8 alone, green: right in int8 alone, yellow: both wrong, magenta: no truth there"
GREYS = 16  # few, so that the file is small
PAGE_WIDTH = 1600  # at most: up to then nothing is scaled, and a flip is a pixel


def flip_picture(
    rgb: Rgb, plain: NDArray[np.uint8], int8: NDArray[np.uint8], truth: NDArray[np.uint8] | None = None,
    ignore: int = 255,
) -> Rgb:  # fmt: skip
    """The pixels whose label differs between the masks `plain` and `int8` (H, W), over dark grey `rgb` (H, W, 3).

    WORSE, BETTER and OTHER where the truth (H, W) tells, UNJUDGED where there is none or it is `ignore`.
    """
    shapes = {rgb.shape[:2], plain.shape, int8.shape} | (set() if truth is None else {truth.shape})
    if len(shapes) > 1:
        named = ", ".join(f"{shape[1]}x{shape[0]}" for shape in sorted(shapes))
        raise SizeError(f"picture and masks have several sizes: {named}", hint="bring all to the size of the truth")
    drawn: Rgb = (rgb.mean(2, keepdims=True) * GREYS / 256).astype(np.uint8).repeat(3, 2) * np.uint8(128 // GREYS)
    flips = plain != int8
    drawn[flips] = UNJUDGED if truth is None else OTHER
    if truth is not None:
        drawn[flips & (plain == truth)] = WORSE
        drawn[flips & (int8 == truth)] = BETTER
        drawn[flips & (truth == ignore)] = UNJUDGED
    return drawn


def draw_label_changes(
    path: Path,
    pictures: Sequence[Picture],
    plain: Segmenter,
    int8: Segmenter,
    ignore: int = 255,
    match: ClassMatch | None = None,
) -> None:
    """The flips of each picture, on one PNG. ignore: the truth of what is not judged. match: as in `Judge`."""
    cells = [label_changes_of(picture, plain, int8, ignore, match) for picture in pictures]
    columns = math.ceil(math.sqrt(len(cells)))
    sheet = contact_sheet(cells, columns, min(PAGE_WIDTH, columns * (cells[0].shape[1] + GAP) + GAP))
    with whole_file(path) as partial:
        partial.write_bytes(cv2.imencode(".png", sheet[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


def label_changes_of(picture: Picture, plain: Segmenter, int8: Segmenter, ignore: int, match: ClassMatch | None) -> Rgb:
    """One cell of the sheet, at the size of the truth."""
    rgb, truth = picture.rgb(), picture.labels() if picture.labels is not None else None
    size = (rgb if truth is None else truth).shape[:2]
    frame = resize_rgb(rgb, (plain.spec.input.height, plain.spec.input.width))
    masks = [np.array(segmenter.segment(frame, (size[0], size[1])).labels) for segmenter in (plain, int8)]
    if match is not None:
        masks = [match(mask) for mask in masks]
    return flip_picture(resize_rgb(rgb, (size[0], size[1])), masks[0], masks[1], truth, ignore)


def worst(agreement: NDArray[np.float64], count: int) -> list[int]:
    """The places of the `count` lowest shares of equal labels, the worst first."""
    return [int(index) for index in np.argsort(agreement, kind="stable")[:count]]

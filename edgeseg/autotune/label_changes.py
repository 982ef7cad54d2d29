"""An image of the pixels whose label int8 changes, coloured by which engine is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.autotune.scoring import EvaluationImage, Rgb
from edgeseg.datasets.matching import ClassMatch
from edgeseg.errors import SizeError
from edgeseg.files import whole_file
from edgeseg.pixels.contact import GAP, contact_sheet
from edgeseg.pixels.resize import resize_rgb
from edgeseg.segmenter import Segmenter

WORSE, BETTER, OTHER, UNKNOWN = (255, 40, 40), (40, 230, 60), (255, 220, 0), (255, 80, 255)
LEGEND = {
    "wrong only in int8": WORSE,
    "right only in int8": BETTER,
    "wrong in both": OTHER,
    "no ground truth": UNKNOWN,
}
GREYS = 16  # few, for a small file
MAX_WIDTH = 1600  # up to this width nothing is scaled, and a changed label is a pixel


def label_change_map(
    rgb: Rgb, reference: NDArray[np.uint8], int8: NDArray[np.uint8], truth: NDArray[np.uint8] | None = None,
    ignore: int = 255,
) -> Rgb:  # fmt: skip
    """The pixels whose label differs between the masks `reference` and `int8` (H, W), over dark grey `rgb` (H, W, 3).

    WORSE, BETTER and OTHER by the truth (H, W), UNKNOWN without truth or where it is `ignore`.
    """
    shapes = {rgb.shape[:2], reference.shape, int8.shape} | (set() if truth is None else {truth.shape})
    if len(shapes) > 1:
        named = ", ".join(f"{shape[1]}x{shape[0]}" for shape in sorted(shapes))
        raise SizeError(f"image and masks have several sizes: {named}", hint="resize all to the size of the truth")
    output: Rgb = (rgb.mean(2, keepdims=True) * GREYS / 256).astype(np.uint8).repeat(3, 2) * np.uint8(128 // GREYS)
    changed = reference != int8
    output[changed] = UNKNOWN if truth is None else OTHER
    if truth is not None:
        output[changed & (reference == truth)] = WORSE
        output[changed & (int8 == truth)] = BETTER
        output[changed & (truth == ignore)] = UNKNOWN
    return output


def draw_label_changes(
    path: Path,
    images: Sequence[EvaluationImage],
    reference: Segmenter,
    int8: Segmenter,
    ignore: int = 255,
    match: ClassMatch | None = None,
) -> None:
    """Write the label changes of all images as one PNG. ignore: the id without ground truth. match: as in `Scorer`."""
    cells = [label_changes_of(image, reference, int8, ignore, match) for image in images]
    columns = math.ceil(math.sqrt(len(cells)))
    sheet = contact_sheet(cells, columns, min(MAX_WIDTH, columns * (cells[0].shape[1] + GAP) + GAP), LEGEND)
    with whole_file(path) as partial:
        partial.write_bytes(cv2.imencode(".png", sheet[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())


def label_changes_of(
    image: EvaluationImage, reference: Segmenter, int8: Segmenter, ignore: int, match: ClassMatch | None
) -> Rgb:
    """One cell of the sheet, at the size of the truth."""
    rgb, truth = image.rgb(), image.labels() if image.labels is not None else None
    size = (rgb if truth is None else truth).shape[:2]
    frame = rgb if reference.tiles else resize_rgb(rgb, (reference.spec.input.height, reference.spec.input.width))
    masks = [np.array(segmenter.segment(frame, (size[0], size[1])).labels) for segmenter in (reference, int8)]
    if match is not None:
        masks = [match(mask) for mask in masks]
    return label_change_map(resize_rgb(rgb, (size[0], size[1])), masks[0], masks[1], truth, ignore)


def worst(agreement: NDArray[np.float64], count: int) -> list[int]:
    """The indices of the `count` smallest shares of equal labels, the smallest first."""
    return [int(index) for index in np.argsort(agreement, kind="stable")[:count]]

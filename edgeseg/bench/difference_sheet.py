"""Images of where two engines differ: the original, both overlays, and the pixels whose labels differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.autotune.label_changes import BETTER, OTHER, UNKNOWN, WORSE, label_change_map
from edgeseg.bench.diff import (
    DifferingImage,
    DiffImage,
    EngineDiff,
    EnginePair,
    engine_diff,
    images_from_dataset,
    images_from_rgbs,
)
from edgeseg.datasets.dataset import Dataset
from edgeseg.files import whole_file
from edgeseg.pixels.contact import GAP, contact_sheet
from edgeseg.pixels.overlay import overlay_labels
from edgeseg.pixels.resize import resize_rgb
from edgeseg.segmenter import Segmenter

Rgb = NDArray[np.uint8]
COUNT = 8
PANELS = 4
MAX_WIDTH = 1600
OPACITY = 0.6
LEGEND = {"right in A alone": WORSE, "right in B alone": BETTER, "wrong in both": OTHER, "no ground truth": UNKNOWN}
SHEET = "sheet.png"


def difference_sheet(
    path: Path, a: Segmenter, b: Segmenter, images: Dataset | Iterable[Rgb], count: int = COUNT
) -> EngineDiff:
    """Write one PNG of the `count` images that differ most. images: a data set, or (H, W, 3) uint8 images."""
    dataset = images if isinstance(images, Dataset) else None
    pair = EnginePair(a, b, dataset)
    diff = engine_diff(pair, _diff_images(images), worst=count)
    write_sheet(path, diff.worst, pair)
    return diff


def write_difference_images(folder: Path, images: Sequence[DifferingImage], pair: EnginePair) -> list[Path]:
    """Write a PNG of four panels for each image, and one of all of them; the paths. The worst has the number 1."""
    paths = []
    for number, image in enumerate(images, 1):
        name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in image.name)
        paths.append(folder / f"{number:02d}-{name}.png")
        panels = panels_of(image, pair)
        width = PANELS * (panels[0].shape[1] + GAP) + GAP
        write_png(paths[-1], contact_sheet(panels, PANELS, width, legend_of([image])))
    if images:
        paths.append(write_sheet(folder / SHEET, images, pair))
    return paths


def write_sheet(path: Path, images: Sequence[DifferingImage], pair: EnginePair) -> Path:
    """Write all images as one PNG, a row for each: original, A, B and their difference."""
    cells = [panel for image in images for panel in panels_of(image, pair)]
    width = min(MAX_WIDTH, PANELS * (cells[0].shape[1] + GAP) + GAP)
    write_png(path, contact_sheet(cells, PANELS, width, legend_of(images)))
    return path


def panels_of(image: DifferingImage, pair: EnginePair) -> list[Rgb]:
    """The original, the overlay of A, that of B and the differences, at the size of the labels."""
    labels = image.labels
    size = (labels.a.shape[0], labels.a.shape[1])
    rgb = resize_rgb(labels.rgb, size)
    overlays = [overlay_labels(rgb, each, pair.palette, opacity=OPACITY) for each in (labels.a, labels.b)]
    return [np.array(rgb), *overlays, label_change_map(rgb, labels.a, labels.b, labels.truth, pair.ignore)]


def legend_of(images: Sequence[DifferingImage]) -> dict[str, tuple[int, int, int]]:
    """The colours of the differences; without truth there is only one."""
    return LEGEND if any(image.labels.truth is not None for image in images) else {"other labels": UNKNOWN}


def write_png(path: Path, rgb: Rgb) -> None:
    """Write `rgb`, atomically."""
    with whole_file(path) as partial:
        partial.write_bytes(cv2.imencode(".png", rgb[..., ::-1])[1].tobytes())


def _diff_images(images: Dataset | Iterable[Rgb]) -> Iterable[DiffImage]:
    return images_from_dataset(images) if isinstance(images, Dataset) else images_from_rgbs(images)

"""Calibration images: which ones, and at the input's size by the spec's rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.calib.doubts import small_images
from edgeseg.datasets import DATASETS, open_dataset
from edgeseg.datasets.pick import drawn
from edgeseg.errors import DataError
from edgeseg.files import existing_folder
from edgeseg.image import IMAGE_ENDINGS, rgb_from_file
from edgeseg.measure.caveat import Caveat
from edgeseg.pixels.resize import resize_rgb
from edgeseg.spec import ModelSpec

Rgb = NDArray[np.uint8]
MUCH = 2  # enlarged more than that, a picture has no detail of the input's scale


class Images:
    """Pictures to calibrate with, at the size of a model's input; each is read when its turn comes, every time anew."""

    def __init__(self, readers: Sequence[Callable[[], Rgb]], spec: ModelSpec) -> None:
        self.readers, self.input = readers, spec.input
        self.small = 0

    def __len__(self) -> int:
        return len(self.readers)

    def __iter__(self) -> Iterator[Rgb]:
        """Each picture, rgb (H, W, 3) at the input's size."""
        height, width = self.input.height, self.input.width
        self.small = 0
        for read in self.readers:
            rgb = read()
            self.small += rgb.shape[0] * MUCH < height or rgb.shape[1] * MUCH < width
            yield resize_rgb(rgb, (height, width))

    def caveats(self) -> list[Caveat]:
        """What is doubtful about the pictures of the last reading."""
        return small_images(self.small, len(self), f"{self.input.width}x{self.input.height}")


def images_from(source: str | Path, spec: ModelSpec, limit: int | None = None, seed: int = 0) -> Images:
    """The images of a folder, or the pictures of a data set's URI ("street:?seed=100"), as `images_from_folder`."""
    if str(source).partition(":")[0] not in DATASETS:
        return images_from_folder(source, spec, limit, seed)
    samples = list(open_dataset(str(source)))
    return Images([sample.rgb for sample in drawn(samples, limit, seed)], spec)


def images_from_folder(folder: str | Path, spec: ModelSpec, limit: int | None = None, seed: int = 0) -> Images:
    """The images in `folder` and the folders below it.

    limit: take that many, drawn by `seed`, so always the same ones; None for all. DataError for an empty folder.
    """
    folder = existing_folder(folder)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    if not paths:
        known = ", ".join(IMAGE_ENDINGS)
        raise DataError(f"no images in {folder}", hint=f"name a folder with images: {known}")
    return Images([partial(rgb_from_file, path) for path in drawn(paths, limit, seed)], spec)

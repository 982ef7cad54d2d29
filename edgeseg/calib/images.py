"""Calibration images: selected by seed and brought to the size of the model's input."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.calib.warnings import small_images
from edgeseg.datasets import DATASETS, open_dataset
from edgeseg.datasets.pairs import random_subset
from edgeseg.errors import DataError
from edgeseg.files import existing_folder
from edgeseg.image import IMAGE_ENDINGS, rgb_from_file
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.pixels.resize import input_from_rgb
from edgeseg.spec import ModelSpec

Rgb = NDArray[np.uint8]
MAX_ENLARGEMENT = 2  # an image that is enlarged more has no detail at the input's scale


class CalibrationImages:
    """Images at the size of a model's input. Each is read when it is needed, again for each iteration."""

    def __init__(self, readers: Sequence[Callable[[], Rgb]], spec: ModelSpec) -> None:
        self.readers, self.input = readers, spec.input
        self.small = 0

    def __len__(self) -> int:
        return len(self.readers)

    def __iter__(self) -> Iterator[Rgb]:
        """Each image, rgb (H, W, 3) at the input's size."""
        height, width = self.input.height, self.input.width
        self.small = 0
        for read in self.readers:
            rgb = read()
            self.small += rgb.shape[0] * MAX_ENLARGEMENT < height or rgb.shape[1] * MAX_ENLARGEMENT < width
            yield input_from_rgb(rgb, self.input)

    def warnings(self) -> list[Diagnostic]:
        """Warnings about the images of the last iteration."""
        return small_images(self.small, len(self), f"{self.input.width}x{self.input.height}")


def images_from(source: str | Path, spec: ModelSpec, limit: int | None = None, seed: int = 0) -> CalibrationImages:
    """The images of a folder and its subfolders, of a glob ("frames/*.png"), or of a data set's URI ("street:?seed=1").

    limit: select at most that many by `seed`, always the same ones; None for all. DataError where there are no images.
    """
    return CalibrationImages(random_subset(image_readers(source), limit, seed), spec)


def other_images(source: str | Path, spec: ModelSpec, taken: int, limit: int, seed: int = 0) -> CalibrationImages:
    """At most `limit` of the images that `images_from` with a limit of `taken` leaves out; possibly none."""
    readers = image_readers(source)
    used = set(random_subset(range(len(readers)), taken, seed))
    others = [read for index, read in enumerate(readers) if index not in used]
    return CalibrationImages(random_subset(others, limit, seed), spec)


def image_readers(source: str | Path) -> list[Callable[[], Rgb]]:
    """A function that reads it, for each image of a folder, glob or data set's URI."""
    if str(source).partition(":")[0] in DATASETS:
        return [sample.rgb for sample in open_dataset(str(source))]
    return [partial(rgb_from_file, path) for path in image_paths(source)]


def image_paths(source: str | Path) -> list[Path]:
    """The image files of a folder and its subfolders, or of a glob, sorted. DataError where there are none."""
    if glob.has_magic(str(source)) and not Path(source).exists():
        candidates = [Path(name) for name in glob.glob(str(source), recursive=True)]  # noqa: PTH207 - may be absolute
    else:
        candidates = list(existing_folder(source).rglob("*"))
    paths = sorted(path for path in candidates if path.suffix.lower() in IMAGE_ENDINGS)
    if not paths:
        hint = f"name a folder with images: {', '.join(IMAGE_ENDINGS)}"
        raise DataError(f"no images in {source}", hint=hint, code="ES-DATA-EMPTY")
    return paths

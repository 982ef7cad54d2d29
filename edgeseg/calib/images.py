"""Calibration images: which ones, and at the input's size by the spec's rule."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.calib.warnings import small_images
from edgeseg.datasets import DATASETS, open_dataset
from edgeseg.datasets.pick import drawn
from edgeseg.errors import DataError
from edgeseg.files import existing_folder
from edgeseg.image import IMAGE_ENDINGS, rgb_from_file
from edgeseg.measure.diagnostic import Diagnostic
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

    def caveats(self) -> list[Diagnostic]:
        """What is doubtful about the pictures of the last reading."""
        return small_images(self.small, len(self), f"{self.input.width}x{self.input.height}")


def images_from(source: str | Path, spec: ModelSpec, limit: int | None = None, seed: int = 0) -> Images:
    """The images of a folder and those below it, of a glob ("frames/*.png"), or of a data set's URI ("street:?seed=1").

    limit: take that many, drawn by `seed`, so always the same ones; None for all. DataError where there are none.
    """
    return Images(drawn(readers_of(source), limit, seed), spec)


def other_images(source: str | Path, spec: ModelSpec, taken: int, limit: int, seed: int = 0) -> Images:
    """At most `limit` of the images that `images_from` with a limit of `taken` leaves; it may be none."""
    readers = readers_of(source)
    used = set(drawn(range(len(readers)), taken, seed))
    return Images(drawn([read for index, read in enumerate(readers) if index not in used], limit, seed), spec)


def readers_of(source: str | Path) -> list[Callable[[], Rgb]]:
    """What reads each image of a folder, glob or data set's URI."""
    if str(source).partition(":")[0] in DATASETS:
        return [sample.rgb for sample in open_dataset(str(source))]
    return [partial(rgb_from_file, path) for path in image_paths(source)]


def image_paths(source: str | Path) -> list[Path]:
    """The image files of a folder and those below it, or of a glob, sorted. DataError where there are none."""
    if glob.has_magic(str(source)) and not Path(source).exists():
        found = [Path(name) for name in glob.glob(str(source), recursive=True)]  # noqa: PTH207 - it may be absolute
    else:
        found = list(existing_folder(source).rglob("*"))
    paths = sorted(path for path in found if path.suffix.lower() in IMAGE_ENDINGS)
    if not paths:
        known = ", ".join(IMAGE_ENDINGS)
        raise DataError(f"no images in {source}", hint=f"name a folder with images: {known}")
    return paths

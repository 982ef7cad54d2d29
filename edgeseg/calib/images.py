"""Calibration images: which ones, and at the input's size by the spec's rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets import DATASETS, open_dataset
from edgeseg.datasets.pick import drawn
from edgeseg.errors import DataError
from edgeseg.files import existing_folder
from edgeseg.image import IMAGE_ENDINGS, rgb_from_file
from edgeseg.pixels.resize import resize_rgb
from edgeseg.spec import ModelSpec


def images_from(source: str | Path, spec: ModelSpec, limit: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """The images of a folder, or the pictures of a data set's URI ("street:?seed=100"), as `images_from_folder`."""
    if str(source).partition(":")[0] not in DATASETS:
        return images_from_folder(source, spec, limit)
    samples = list(open_dataset(str(source)))
    size = (spec.input.height, spec.input.width)
    return (resize_rgb(sample.rgb(), size) for sample in drawn(samples, limit))


def images_from_folder(folder: str | Path, spec: ModelSpec, limit: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """The images in `folder` and the folders below it, rgb (H, W, 3) at the input's size, read one at a time.

    limit: take that many, chosen by chance but always the same ones; None for all. DataError for an empty folder.
    """
    folder = existing_folder(folder)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    if not paths:
        known = ", ".join(IMAGE_ENDINGS)
        raise DataError(f"no images in {folder}", hint=f"name a folder with images: {known}")
    size = (spec.input.height, spec.input.width)
    return (resize_rgb(rgb_from_file(path), size) for path in drawn(paths, limit))

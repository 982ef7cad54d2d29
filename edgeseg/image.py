"""Pictures in files: which endings they have, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, FormatError, SizeError
from edgeseg.files import bytes_from_file

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def rgb_from_file(path: Path) -> NDArray[np.uint8]:
    """The image at `path`, (H, W, 3) uint8, turned as its EXIF says; transparency is ignored.

    FormatError where it cannot be decoded; SizeError where it states more than OpenCV's 2^30 pixels, before memory is
    allocated.
    """
    bgr = _bgr_from_bytes(bytes_from_file(path), path)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)


def _bgr_from_bytes(data: bytes, path: Path) -> NDArray[np.uint8]:
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as problem:
        if problem.func == "validateInputImageSize":
            raise SizeError(
                f"this image states a size that is too large: {path}", hint="remove it, or cut it into tiles"
            ) from problem
        bgr = None
    if bgr is None:
        raise FormatError(f"this image cannot be read: {path}", hint="remove it, or write it again as PNG")
    return np.asarray(bgr, np.uint8)


class PilImage(Protocol):
    """As much of `PIL.Image.Image` as is needed: Pillow need not be installed."""

    def convert(self, mode: str) -> Any:
        """The image in another mode, such as "RGB"."""


ImageLike: TypeAlias = NDArray[np.uint8] | PilImage | Sequence[Any] | str | Path


def rgb_from_image(image: ImageLike) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of an rgb array or nested lists, of a PIL image in any mode, or of the file at a path.

    An array is not copied. SizeError for another shape or type of values, DataError for what is no image at all.
    """
    if isinstance(image, (str, Path)):
        return rgb_from_file(Path(image))
    if hasattr(image, "convert"):
        return rgb_from_pil(image)
    array = array_from(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise SizeError(
            f"an image is (H, W, 3) uint8 rgb, and this is {array.shape} {array.dtype}", hint="pass one rgb image"
        )
    return array


def rgb_from_pil(image: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a PIL image, turned as its EXIF says. FormatError where it cannot be decoded."""
    from PIL import ImageOps

    try:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    except OSError as problem:
        raise FormatError(
            f"this image cannot be read: {problem}", hint="open the file again, or save it anew"
        ) from None


def array_from(values: Any) -> NDArray[Any]:
    """`values` as an array: whole numbers from 0 to 255 of a list become uint8. DataError where they make none."""
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype == object or array.ndim == 0:
        kind = type(values).__name__
        raise DataError(f"this is not an image: {kind}", hint="pass an rgb array, a PIL image or the path of a file")
    if (
        isinstance(values, Sequence)
        and array.dtype.kind in "iu"
        and array.size
        and 0 <= array.min() <= array.max() <= 255
    ):
        return array.astype(np.uint8)
    return array
